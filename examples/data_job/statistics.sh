# Describes the largest shared library of the system and lists the words that occur most in it: a
# large real file, read by plain tools, with nothing written but the result.

export LC_ALL=C
directory="${DIRECTORY:-/usr/lib}"

largest=$(find "$directory" -xdev -type f -name '*.so*' -printf '%s %p\n' | sort -n | tail -n 1)
size=${largest%% *}
file=${largest#* }

words() { tr -c -s 'A-Za-z' '\n' <"$file" | grep -E '^[A-Za-z]{8,}$'; }

printf 'file        %s\n' "$file"
printf 'bytes       %s\n' "$size"
printf 'sha256      %s\n' "$(sha256sum <"$file" | cut -d ' ' -f 1)"
printf 'zero bytes  %s\n' "$(tr -d -c '\000' <"$file" | wc -c)"
printf 'compressed  %s\n' "$(gzip -1 <"$file" | wc -c)"
printf 'words       %s\n' "$(words | wc -l)"
printf 'different   %s\n' "$(words | sort -u | wc -l)"
echo 'the ten most frequent:'
words | sort | uniq -c | sort -k1,1nr -k2 | awk 'NR <= 10'
