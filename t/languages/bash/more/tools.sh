# Common tools of scripts.
mkdir -p d/e && touch d/a.txt d/e/b.txt
find d -name '*.txt' | sort
echo 'a,b,c' | cut -d, -f2
echo 'one two' | sed 's/one/1/'
printf '1 2\n3 4\n' | awk '{ s += $2 } END { print s }'
printf 'x\ny\nx\n' | sort | uniq -c | awk '{ print $1 $2 }'
echo hello | grep -o 'l\+'
printf 'a b' | xargs -n 1 echo item
date -u -d @0 +%Y
basename /a/b.c .c
echo abc | md5sum | cut -c 1-8
f=$(mktemp) && echo temporary >"$f" && cat "$f"
env printf '%s\n' "$HOME $TMPDIR"
