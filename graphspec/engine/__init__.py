"""From a spec to programs to steps: the compiler, the runtime, trainings, groups of workers."""
