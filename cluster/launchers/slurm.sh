#!/usr/bin/env bash
# One search on one or more Slurm nodes, with a Ray cluster of its own. From the root of the checkout, which every node
# sees, with its .venv:
#   sbatch --nodes=2 --gpus-per-node=4 --cpus-per-task=32 cluster/launchers/slurm.sh \
#       fashion_mnist --name fashion-mnist --storage /shared/runs
# The arguments are those of `temper search`. Its exit code is the job's.
#SBATCH --job-name=temper
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail
umask 077

export PATH="$PWD/.venv/bin:$PATH"
# Ray chooses its ports from 10002 on; jobs that share a node need ranges of their own, below the ephemeral ports.
base=$((20000 + SLURM_JOB_ID % 600 * 20))
# This script runs on the first node, where the head will.
ip=${TEMPER_HEAD_IP:-$(hostname --all-ip-addresses | cut --delimiter=' ' --fields=1)}
export TEMPER_ADDRESS="$ip:$base" TEMPER_BASE=$base
[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK  # srun does not inherit it

# The token, in a folder that only this user can read, on the file system that all nodes share.
private=$(mktemp --directory "$HOME/.temper-$SLURM_JOB_ID-XXXXXX")
python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$private/token"
export RAY_AUTH_MODE=token RAY_worker_niceness=0 RAY_AUTH_TOKEN_PATH="$private/token"
unset RAY_AUTH_TOKEN  # it would come before the file
# A folder on each node's own disk, whose name nobody can foresee; its sockets have paths of 107 bytes at most.
export TEMPER_TEMP="${TEMPER_SCRATCH:-/tmp}/temper-$SLURM_JOB_ID-${private##*-}"
if [ ${#TEMPER_TEMP} -gt 40 ]; then
    echo "TEMPER_SCRATCH: $TEMPER_TEMP has over 40 characters, too many for Ray" >&2
    rm -rf "$private"
    exit 2
fi
export AUTOSCALER_METRIC_PORT=$((base + 10)) DASHBOARD_METRIC_PORT=$((base + 11))

# Not `ray symmetric-run`: it exits 0 when the head does not start, and its `ray stop` ends the Ray of other jobs too.
# shellcheck disable=SC2016  # expanded on each node
node='
trap "rm -rf \"$TEMPER_TEMP\"" EXIT
ulimit -n "$(ulimit -Hn)" || true  # Ray has open a few files for each of its processes
options="--node-manager-port=$((TEMPER_BASE + 1)) --object-manager-port=$((TEMPER_BASE + 2))
    --runtime-env-agent-port=$((TEMPER_BASE + 3)) --metrics-export-port=$((TEMPER_BASE + 4))
    --dashboard-agent-listen-port=$((TEMPER_BASE + 5)) --dashboard-agent-grpc-port=$((TEMPER_BASE + 6))
    --min-worker-port=0 --max-worker-port=0 --num-cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
    --disable-usage-stats --block"
if [ "$SLURM_PROCID" = 0 ]; then
    ray start --head --node-ip-address="${TEMPER_ADDRESS%:*}" --port="$TEMPER_BASE" --temp-dir="$TEMPER_TEMP" \
        --dashboard-host=127.0.0.1 --dashboard-port=$((TEMPER_BASE + 7)) \
        --ray-client-server-port=$((TEMPER_BASE + 8)) $options &
else
    until (exec 3<>"/dev/tcp/${TEMPER_ADDRESS%:*}/$TEMPER_BASE") 2>/dev/null; do sleep 1; done
    ray start --address="$TEMPER_ADDRESS" $options &
fi
trap "kill $!" TERM
wait $! || wait $!
'
# Where jobs are submitted with --export=NONE, srun would hand on nothing of the above.
srun --export=ALL --ntasks-per-node=1 --kill-on-bad-exit=0 bash -c "$node" &
running=("$!")  # and the search, below
trap 'kill "${running[@]}" 2>/dev/null || true; wait "${running[0]}" || true; rm -rf "$private"' EXIT
trap 'exit 143' TERM
# The time limit is near: the job goes back into the queue, and --or-resume goes on from the last epoch of each trial.
trap 'scontrol requeue "$SLURM_JOB_ID" || echo "not queued again: submit the same job, which goes on" >&2' USR1

wait_for_nodes='
import sys, time, ray
address, count, patience = sys.argv[1], int(sys.argv[2]), time.monotonic() + 300
while True:
    try:
        if not ray.is_initialized():
            ray.init(address=address, logging_level="ERROR", log_to_driver=False)
        if sum(node["Alive"] for node in ray.nodes()) >= count:
            break
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError):
        pass
    if time.monotonic() > patience:
        sys.exit("Ray did not come up on all nodes within five minutes")
    time.sleep(1)
'
# A search counts its slots when it begins, so all nodes are there first.
{
    for _ in {1..300}; do
        if (exec 3<>"/dev/tcp/$ip/$base") 2>/dev/null; then break; fi
        kill -0 "${running[0]}" 2>/dev/null || { echo "Ray's head did not start" >&2; exit 1; }
        sleep 1
    done
    python -c "$wait_for_nodes" "$TEMPER_ADDRESS" "$SLURM_JOB_NUM_NODES"
    exec python -m search search "$@" --address "$TEMPER_ADDRESS" --or-resume
} &
running+=("$!")
code=138
while [ "$code" = 138 ]; do  # USR1 ends `wait` early
    code=0
    wait "${running[1]}" || code=$?
done
exit "$code"
