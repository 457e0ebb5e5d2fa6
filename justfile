# Each recipe is one command that works without `just`, too.

# Boot three organisations and play the story; `just demo --once` ends by itself.
demo *ARGS:
    cargo demo {{ARGS}}

# All tests, with real databases and peers.
test:
    cargo test --workspace --locked

# Read only: formatting and lints.
check:
    .ci/run check

# Write: formatting, and what clippy can mend.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged && cargo fmt --all

# Run the simulator over SEEDS seeds.
simulate SEEDS="10000":
    cargo run --quiet --locked --package dejima-simulator --bin simulate -- {{SEEDS}}

# Kill peer, database and helper at every named crash point; `just crash-matrix --point NAME`, `--seed N`.
crash-matrix *ARGS="--all":
    cargo test --quiet --locked --package dejima-peer --test crash_matrix -- {{ARGS}}

# Bare two-phase commit against ours; ends with the table of ratios.
bench:
    cargo bench --locked --package dejima-peer --bench update

# What sharing costs a database: CPU of the client's session at the origin, heap-only updates and WAL at a participant.
capture-bench:
    cargo bench --locked --package dejima-peer --bench capture

# The same for strategies, all or that of a NAME: each claim, the figure, and whether it holds; fails if one does not. One turn takes about four minutes.
strategy-bench TURNS="3" NAME="":
    cargo bench --locked --package dejima-peer --bench capture -- {{TURNS}} strategies {{NAME}}

# Load, deaths, hangs and partitions at random for MINUTES.
soak MINUTES="40":
    cargo test --locked --package dejima-peer --test soak -- {{MINUTES}}

# STATEMENTS of random SQL at one peer of three and on a plain PostgreSQL: ends with one line of statements and differences.
differential STATEMENTS="20000" SEED="1":
    cargo test --quiet --locked --package dejima-peer --test differential -- {{STATEMENTS}} {{SEED}}

# Twenty peers detect their groups, all at once and then one joining nineteen, RUNS times: messages, time, correct.
detection RUNS="20":
    cargo bench --locked --package dejima-peer --bench detection -- {{RUNS}}

# Detection of 100 to 10,000 simulated peers over a wide-area network: writes docs/detection.md and its plot. 3,000 take
# 1 GB and a minute of one core; 10,000, each of whom knows all others, take 9 GB and a quarter of an hour.
detection-scale *ARGS="docs 100 300 1000 3000 10000":
    cargo run --release --locked --package dejima-simulator --bin detection-scale -- {{ARGS}}

# Memory of the peers and size of schema `dejima` over TRANSACTIONS; a million takes about an hour.
endurance TRANSACTIONS="1000000":
    cargo bench --locked --package dejima-peer --bench endurance -- {{TRANSACTIONS}}

# Every type and its boundary values between two real peers: writes docs/types.md.
types:
    DEJIMA_TYPES=write cargo test --quiet --locked --package dejima-peer --test system values::

# Fuzz each reader of bytes from outside for SECONDS (fuzz/README.md): needs a nightly compiler and cargo-fuzz.
fuzz SECONDS="60":
    fuzz/run {{SECONDS}}

# Every strategy of strategies/: verdict and time; ends with one line: as expected, not as expected.
corpus:
    cargo test --quiet --locked --package dejima-testbed --test corpus

# The SQL of every accepted strategy on a real PostgreSQL: random databases and changes; the last line says how many.
strategies DATABASES="200" SEED="1":
    cargo test --quiet --locked --package dejima-testbed --test strategies -- {{DATABASES}} {{SEED}}
