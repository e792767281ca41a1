# Pipelines, subshells and their effects.
printf '%s\n' pear apple fig | sort | head -n 2 | tr a-z A-Z
x=1
(x=2; cd /tmp; echo "inside $x $PWD")
echo "outside $x $PWD"
set -o pipefail
false | true
echo "pipefail $?"
set +o pipefail
seq 1000000 | head -n 1
