package ai.onnxruntime;

/** A part of onnxruntime's class of this name, for tests without that package. */
public class OrtException extends Exception {
    private static final long serialVersionUID = 1L;

    public OrtException(String message) {
        super(message);
    }
}
