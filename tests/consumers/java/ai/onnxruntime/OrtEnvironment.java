package ai.onnxruntime;

/** A part of onnxruntime's class of this name, for tests without that package. */
public final class OrtEnvironment {
    private static final OrtEnvironment ONLY = new OrtEnvironment();

    private OrtEnvironment() {}

    public static OrtEnvironment getEnvironment() {
        return ONLY;
    }

    public OrtSession createSession(String modelPath, OrtSession.SessionOptions options) throws OrtException {
        return new OrtSession(modelPath, options);
    }
}
