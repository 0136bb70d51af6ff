# The first process of a desktop's sandbox. Starts the X server and then whatever the backend asks for.
#
# $1 is the folder that the backend writes to; the rest is the X server's command line. Requests come on standard input,
# one name of a script in the folder each; the X server and the scripts answer on file descriptor 3. When the backend
# closes the input, or the X server ends, this ends, and in a sandbox everything else with it.
dir=$1
shift
exec 4<&0 3>&1 </dev/null >/dev/null
cd "$HOME" || exit 1
{
    "$@" -displayfd 3 4<&-
    kill -9 $$
} &
while read -r name <&4; do
    # A shell between that ends at once makes the program nobody's child here: the namespace's first process reaps it.
    (setsid sh "$dir/$name" 4<&- &)
done
