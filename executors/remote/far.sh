# What harness has a POSIX shell on another machine know. It is read once for each connection; every request is then a
# call of one of these. Only what POSIX has is used, and /proc. Names begin with h_ and none is exported.
# A run is a directory ROOT/STACK/NAME/EPOCH, and its name relative to ROOT, where this shell stays.

unset IFS
umask 077

# h_hello INSTANCE: make the root and go there; say where it is, which boot this is, whether there is setsid
h_hello() {
    h_root=${XDG_STATE_HOME:-${HOME:?}/.local/state}/harness/runs/$1
    h_why=$(mkdir -p "$h_root" 2>&1) || { printf 'error %s\n' "$h_why"; return; }
    h_home=$(pwd)
    cd "$h_root" && h_root=$(pwd -P) || { printf 'error cannot enter %s\n' "$h_root"; return; }
    read -r h_boot </proc/sys/kernel/random/boot_id || { printf 'error it has no Linux /proc\n'; return; }
    h_setsid=no
    command -v setsid >/dev/null && h_setsid=yes
    printf 'ok %s %s %s\n' "$h_boot" "$h_setsid" "$h_root"
}

# h_stat PID: sets h_state_of, h_session and h_start; fails when there is none
h_stat() {
    h_line=
    { while IFS= read -r h_more; do h_line="$h_line $h_more"; done; } 2>/dev/null <"/proc/$1/stat" || return 1
    # a program's name may hold anything, but it is followed by the last bracket
    set -- ${h_line##*) }
    [ $# -ge 20 ] || return 1
    h_state_of=$1 h_session=$4
    shift 19
    h_start=$1
}

# h_is PID START: whether that very process lives; one that nobody has fetched is dead
h_is() {
    h_stat "$1" && [ "$h_start" = "$2" ] && case $h_state_of in Z | X) false ;; esac
}

# h_words FILE: sets h_a, h_b and h_c to a record's words; fails unless it was written to its end
h_words() {
    h_a= h_b= h_c= h_end=
    { read -r h_a h_b h_c h_end; } 2>/dev/null <"$1"
    [ "$h_end" = . ]
}

# h_state RUN: one line of what became of it
h_state() {
    # what could not be started has an exit too: that of the part which found out
    if h_words "$1/failed"; then
        printf 'failed %s\n' "$h_a"
    elif h_words "$1/exit"; then
        printf 'exit %s %s %s\n' "$h_a" "$h_b" "$h_c"
    elif h_words "$1/birth"; then
        if [ "$h_c" != "$h_boot" ]; then
            printf 'rebooted\n'
        elif h_is "$h_a" "$h_b"; then
            printf 'alive %s %s\n' "$h_a" "$h_b"
        elif h_words "$1/keeper" && h_is "$h_a" "$h_b"; then
            printf 'ending\n'
        elif h_words "$1/exit"; then
            printf 'exit %s %s %s\n' "$h_a" "$h_b" "$h_c"
        else
            printf 'lost\n'
        fi
    elif [ -d "$1" ]; then
        printf 'claimed\n'
    else
        printf 'absent\n'
    fi
}

# h_launch RUN SCRIPT: claim the run and bring it to life, or leave the one that is there as it is; then its state
h_launch() {
    h_why=$(mkdir -p "${1%/*}" 2>&1) || { printf 'error %s\n' "$h_why"; return; }
    if h_why=$(mkdir "$1" 2>&1); then
        if h_why=$({ printf %s "$2" >"$1/life" && : >"$1/stdout" && : >"$1/stderr"; } 2>&1); then
            (cd "$h_home" && exec sh "$h_root/$1/life" launch "$h_root/$1") >/dev/null 2>&1
        else
            rm -rf "$1"
            printf 'error %s\n' "$h_why"
            return
        fi
    elif [ ! -d "$1" ]; then
        printf 'error %s\n' "$h_why"
        return
    fi
    h_state "$1"
    h_words "$1/birth" && printf 'born %s %s\n' "$h_a" "$h_b"
}

# h_void RUN: if it has not come to life yet, it never will
h_void() {
    if mkdir "$1/turn" 2>/dev/null; then
        rm -rf "$1"
        printf 'absent\n'
    else
        h_state "$1"
    fi
}

# h_remove RUN: drop what is kept of a run that does not live
h_remove() {
    case $(h_state "$1") in alive* | ending | claimed) return ;; esac
    rm -rf "$1"
    rmdir "${1%/*}" 2>/dev/null
}

# h_marked PID RUN: whether its environment names the run
h_marked() {
    {
        while IFS= read -r h_more || [ -n "$h_more" ]; do
            case $h_more in *"HARNESS_RUN=$h_root/$2/"*) return 0 ;; esac
        done
    } 2>/dev/null <"/proc/$1/environ"
    return 1
}

# h_members RUN: "PID START" of all that lives of it, whatever sessions they made, but for its keeper
h_members() {
    h_words "$1/keeper" || return 0
    h_leader=$h_a h_since=$h_b
    [ "$h_c" = "$h_boot" ] || return 0
    h_led=$h_leader
    # a session is named after its leader; that number may be somebody else's by now
    if h_stat "$h_leader" && [ "$h_start" != "$h_since" ]; then h_led=; fi
    [ -e "$1/alone" ] || h_led=
    for h_dir in /proc/[0-9]*; do
        h_pid=${h_dir#/proc/}
        [ "$h_pid" != "$h_leader" ] && h_stat "$h_pid" && [ "$h_start" -ge "$h_since" ] || continue
        case $h_state_of in Z | X) continue ;; esac
        h_began=$h_start
        if [ "$h_session" = "$h_led" ] || h_marked "$h_pid" "$1"; then printf '%s %s\n' "$h_pid" "$h_began"; fi
    done
}

# h_signal RUN SIGNAL...: send signals to all of it; then who is left
h_signal() {
    h_run=$1
    shift
    h_members "$h_run" | while read -r h_pid h_began; do
        for h_name in "$@"; do h_is "$h_pid" "$h_began" && kill -s "$h_name" "$h_pid"; done
    done
    h_members "$h_run"
}

# h_tell RUN SIGNAL: send a signal to its main process
h_tell() {
    h_words "$1/birth" && [ "$h_c" = "$h_boot" ] && h_is "$h_a" "$h_b" && kill -s "$2" "$h_a" && printf 'sent\n'
}

# h_end MARK: end a command that was run beside something, and all that it started
h_end() {
    for h_dir in /proc/[0-9]*; do
        {
            while IFS= read -r h_more || [ -n "$h_more" ]; do
                case $h_more in *"HARNESS_EXEC=$1"*) kill -s KILL "${h_dir#/proc/}" ;; esac
            done
        } 2>/dev/null <"$h_dir/environ"
    done
}

# h_look RUN...: the state of each, and then how long its outputs are
h_look() {
    for h_run in "$@"; do
        h_state "$h_run"
    done
    for h_run in "$@"; do
        shift
        set -- "$@" "$h_run/stdout" "$h_run/stderr"
    done
    LC_ALL=C ls -ln "$@"
}

# h_read FILE SKIP COUNT: so many blocks of it
h_read() {
    dd if="$1" bs=4096 skip="$2" count="$3"
}
