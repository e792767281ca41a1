set -u

echo "$nowhere"
