a=(one "two words" three)
a+=(four)
echo "${#a[@]} ${a[1]} ${a[-1]} ${a[*]:1:2}"
unset 'a[0]'
echo "${!a[@]}"
declare -A age=([ann]=7 [bob]=9)
for name in $(printf '%s\n' "${!age[@]}" | sort); do echo "$name ${age[$name]}"; done
text=hello.world
echo "${text^^} ${text%.*} ${text#*.} ${text/o/0} ${#text} ${text:1:3}"
[[ $text =~ ^(.*)\.(.*)$ ]] && echo "${BASH_REMATCH[2]}"
