package ai.onnxruntime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A part of onnxruntime's class of this name, for tests without that package. A run writes its feeds to {@code feeds.json}
 * and answers "first", "second", … with the share 0.5.
 */
public class OrtSession implements AutoCloseable {
    private final SessionOptions options;

    OrtSession(String modelPath, SessionOptions options) throws OrtException {
        if (!Files.exists(Path.of(modelPath))) {
            throw new OrtException("Load model from " + modelPath + " failed");
        }
        this.options = options;
    }

    public Result run(Map<String, OnnxTensor> inputs) throws OrtException {
        String lines = inputs.entrySet().stream()
                .map(entry -> "\"" + entry.getKey() + "\":" + entry.getValue().line())
                .collect(Collectors.joining(",\n", "{", "}\n"));
        try {
            Files.writeString(Path.of("feeds.json"), lines);
        } catch (IOException error) {
            throw new OrtException(error.toString());
        }
        OnnxTensor shares = new OnnxTensor(new float[][] {{0.25f, 0.5f, 0.25f}, {0.5f, 0.25f, 0.25f}}, null);
        return new Result(Map.of("species", shares, "species_label", new OnnxTensor(new String[] {"first", "second"}, null)));
    }

    @Override
    public void close() throws OrtException {
        if (options.closed) {
            throw new OrtException("The options were closed before the session.");
        }
        if (OnnxTensor.open > 0) {
            throw new OrtException(OnnxTensor.open + " tensors are not closed.");
        }
    }

    /** The options of a session. */
    public static class SessionOptions implements AutoCloseable {
        private boolean closed = false;

        public void setIntraOpNumThreads(int numThreads) throws OrtException {}

        @Override
        public void close() {
            closed = true;
        }
    }

    /** The outputs of a run. */
    public static class Result implements AutoCloseable {
        private final Map<String, OnnxValue> values;

        Result(Map<String, OnnxValue> values) {
            this.values = values;
        }

        public Optional<OnnxValue> get(String key) {
            return Optional.ofNullable(values.get(key));
        }

        @Override
        public void close() {
            values.values().forEach(OnnxValue::close);
        }
    }
}
