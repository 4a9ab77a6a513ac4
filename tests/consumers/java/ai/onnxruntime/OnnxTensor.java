package ai.onnxruntime;

import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.stream.Collectors;

/** A part of onnxruntime's class of this name, for tests without that package: it keeps what it is given as text. */
public class OnnxTensor implements OnnxValue {
    /** Tensors that are not closed yet. */
    static int open = 0;

    private final Object value;
    private final String line;
    private boolean closed = false;

    OnnxTensor(Object value, String line) {
        this.value = value;
        this.line = line;
        open++;
    }

    public static OnnxTensor createTensor(OrtEnvironment env, String[] data, long[] shape) throws OrtException {
        return of("string", Arrays.stream(data).map(OnnxTensor::quoted).collect(Collectors.joining(",")), data.length, shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer data, long[] shape) throws OrtException {
        return of("float32", elements(Arrays.toString(data.array())), data.capacity(), shape);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, LongBuffer data, long[] shape) throws OrtException {
        return of("int64", elements(Arrays.toString(data.array())), data.capacity(), shape);
    }

    private static OnnxTensor of(String dtype, String data, long count, long[] shape) throws OrtException {
        if (Arrays.stream(shape).reduce(1, (a, b) -> a * b) != count) {
            throw new OrtException("shape " + Arrays.toString(shape) + " of " + count + " elements");
        }
        String form = "{\"dtype\":\"%s\",\"shape\":%s,\"data\":[%s]}";
        return new OnnxTensor(null, String.format(form, dtype, Arrays.toString(shape), data));
    }

    private static String elements(String list) {
        return list.substring(1, list.length() - 1);
    }

    /** A text as JSON in ASCII. */
    private static String quoted(String text) {
        return text.chars().mapToObj(unit -> String.format("\\u%04x", unit)).collect(Collectors.joining("", "\"", "\""));
    }

    String line() {
        return line;
    }

    @Override
    public Object getValue() {
        if (closed) {
            throw new IllegalStateException("Trying to use a closed OnnxValue");
        }
        return value;
    }

    @Override
    public void close() {
        if (!closed) {
            open--;
        }
        closed = true;
    }
}
