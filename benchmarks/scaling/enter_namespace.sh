# What Open MPI calls instead of ssh: ADDRESS COMMAND. The namespace of 10.77.0.k+1 is k; each has a host name of its own.
while [ "${1#-}" != "$1" ]; do shift; done
rank=$((${1##*.} - 1))
shift
exec ip netns exec "graphspec-rank-$rank" unshare --uts /bin/sh -c "hostname rank$rank; $*"
