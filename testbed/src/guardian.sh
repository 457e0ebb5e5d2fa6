# Removes the scratch folder $1 and stops everything that was started in it, as soon as standard input ends:
# the owner has let go of the pipe, or has died in whatever way. It runs in a process group of its own, so
# that Ctrl-C at the terminal does not reach it.
folder=$1
trap '' HUP INT TERM
while read -r _; do :; done

# A child writes its pid first and looks for this file next; we do it the other way round. So either it sees
# the file and does not start, or we see its pid.
: >"$folder/stopping"

# True if the pid in file $1 is still a process of ours: pids are used again, command lines tell.
lives() {
    read -r pid <"$1" 2>/dev/null || return 1
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") in
    *"$folder"*) return 0 ;;
    esac
    return 1
}

# Sends each child the signal that its pid file is named after, or $1.
signal() {
    for file in "$folder"/pids/*; do
        lives "$file" && kill -s "${1:-${file##*.}}" "$pid" 2>/dev/null
    done
}

any_lives() {
    for file in "$folder"/pids/*; do
        lives "$file" && return 0
    done
    return 1
}

signal
rounds=0
while any_lives; do
    rounds=$((rounds + 1))
    test "$rounds" -eq 200 && signal KILL
    test "$rounds" -gt 400 && break
    sleep 0.05
done
for _ in 1 2 3 4 5; do
    rm -rf "$folder" && break
    sleep 0.2
done
