word='grüße€'
echo "${#word} ${word^^} ${word:2:2}"
printf '%s\n' "$word" | wc -c
