# $(...), nested, with errors and with the lines of a file.
echo "a $(echo "b $(echo c)")"
y=$(exit 3) || echo "code $?"
printf 'one\ntwo\n' >list
mapfile -t lines <list
echo "${#lines[@]} ${lines[1]} $(<list)"
echo $((6 * 7)) $((2#101)) $((0x1f))
