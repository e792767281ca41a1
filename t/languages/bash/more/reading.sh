read -r first
echo "first: $first"
while read -r a b; do echo "$b-$a"; done
