# One life of a service of harness, in three parts that follow each other: launch, keep and be.
h_part=$1 h_run=$2

# h_identity FILE: write down who this is: a number alone is none, as it is given to others later
h_identity() {
    h_line=
    while IFS= read -r h_more; do h_line="$h_line $h_more"; done <"/proc/$$/stat"
    read -r h_boot </proc/sys/kernel/random/boot_id
    set -- "$1" ${h_line##*) }
    shift 20
    printf '%s %s %s .\n' "$$" "$1" "$h_boot" >"$h_run/$h_file"
}

# h_refuse WORD: it cannot be started
h_refuse() {
    printf '%s - - .\n' "$1" >"$h_run/failed"
    exit 126
}

case $h_part in
launch)
    # It waits in the foreground and is killed once that lives: what a shell starts in the background without job
    # control would be deaf to INT and QUIT for good.
    export HARNESS_RUN="$h_run/"
    if command -v setsid >/dev/null; then
        : >"$h_run/alone"
        setsid sh "$h_run/life" keep "$h_run" "$$" </dev/null >/dev/null 2>"$h_run/words"
    else
        sh "$h_run/life" keep "$h_run" "$$" </dev/null >/dev/null 2>"$h_run/words"
    fi
    :
    ;;
keep)
    # caught and not ignored, so that the service gets them as they are by default
    trap : HUP INT QUIT TERM
    h_file=keeper
    h_identity . || exit 1
    [ "$PPID" = "$3" ] || set -- "$1" "$2" ""
    # no redirections here: some shells tell of the signal where those lead, into the service's own output
    sh "$h_run/life" be "$h_run" "$3"
    h_code=$?
    # a shell tells on its standard error that a signal ended what it waited for; the code alone could be an exit's
    h_said=0
    [ -s "$h_run/words" ] && h_said=1
    printf '%s %s %s .\n' "$h_code" "$h_said" "$(date +%s)" >"$h_run/exit"
    ;;
be)
    mkdir "$h_run/turn" 2>/dev/null || exit 125
    h_parent=$3
    exec </dev/null >>"$h_run/stdout" 2>>"$h_run/stderr" || exit 1
    h_file=birth
    #ORDER
    ;;
esac
