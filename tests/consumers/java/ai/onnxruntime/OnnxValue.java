package ai.onnxruntime;

/** A part of onnxruntime's interface of this name, for tests without that package. */
public interface OnnxValue extends AutoCloseable {
    Object getValue() throws OrtException;

    @Override
    void close();
}
