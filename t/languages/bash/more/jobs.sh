# Background jobs, and waiting for each.
for i in 3 5; do (exit $i) & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; echo "ended $?"; done
sleep 60 & kill $!
wait $! 2>/dev/null
echo "killed $?"
coproc cat
echo through >&"${COPROC[1]}"
read -r line <&"${COPROC[0]}"
echo "$line"
