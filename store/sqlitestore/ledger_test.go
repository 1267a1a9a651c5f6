package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/ledgertest"
	"github.com/holysheep-ai/holysheep-go/store/sqlitestore"
)

func open(tb testing.TB, path string) *sqlitestore.Ledger {
	tb.Helper()
	l, err := sqlitestore.OpenLedger(path, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) holysheep.Ledger {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "a b#c?.ledger"))
	})
}

// Books outlive the process, and so do holds: they count as spent when their lease is over.
func TestBooksSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	now := time.Now()
	ctx := t.Context()
	hold := []holysheep.Hold{{Key: "a", Amount: 10, Limit: 100, Ends: now.Add(time.Hour)}}
	l := open(t, path)
	for _, id := range []string{"1", "2"} {
		_, err := l.Reserve(ctx, holysheep.Reservation{ID: id, Now: now, Lease: time.Minute, Holds: hold})
		require.NoError(t, err)
	}
	_, err := l.Settle(ctx, "1", now, 7)
	require.NoError(t, err)
	require.NoError(t, l.Close())

	l = open(t, path)
	a, err := l.Account(ctx, "a", now)
	require.NoError(t, err)
	require.Equal(t, holysheep.Account{Key: "a", Spent: 7, Reserved: 10}, a)
	a, err = l.Account(ctx, "a", now.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, holysheep.Account{Key: "a", Spent: 17, Expired: 10}, a)
	_, err = l.Settle(ctx, "2", now.Add(time.Hour), 3)
	require.NoError(t, err)
	a, err = l.Account(ctx, "a", now.Add(48*time.Hour))
	require.NoError(t, err)
	require.Equal(t, holysheep.Account{Key: "a"}, a, "a period that is long over is forgotten")
}

func TestFilesThatAreNoLedgers(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	_, err := sqlitestore.OpenLedger(text, nil)
	require.ErrorIs(t, err, holysheep.ErrLedger)
	require.ErrorContains(t, err, "damaged or no database")

	_, err = sqlitestore.OpenLedger(dir, nil)
	require.ErrorContains(t, err, "is a directory")
	_, err = sqlitestore.OpenLedger(filepath.Join(dir, "no", "such", "dir"), nil)
	require.ErrorIs(t, err, holysheep.ErrLedger)

	path := filepath.Join(dir, "newer")
	l := open(t, path)
	require.NoError(t, l.Exec("PRAGMA user_version = 2"))
	require.NoError(t, l.Close())
	_, err = sqlitestore.OpenLedger(path, nil)
	require.ErrorContains(t, err, "version 2")

	path = filepath.Join(dir, "other")
	l = open(t, path)
	require.NoError(t, l.Exec("PRAGMA application_id = 1"))
	require.NoError(t, l.Close())
	_, err = sqlitestore.OpenLedger(path, nil)
	require.ErrorContains(t, err, "of something else")
}

// A ledger whose file is damaged, wherever, answers as before or refuses; it does not panic, and grants nothing that it
// would not have.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole")
	l := open(t, path)
	r := holysheep.Reservation{Now: time.Now(), Lease: time.Hour, Holds: []holysheep.Hold{{Key: "a", Amount: 10, Limit: 100}}}
	for i := range 9 {
		r.ID = fmt.Sprint(i)
		_, err := l.Reserve(t.Context(), r)
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	refused := 0
	for i := 0; i < len(whole); i += 509 {
		damaged := filepath.Join(dir, fmt.Sprint(i))
		text := append([]byte(nil), whole...)
		for j := i; j < min(i+64, len(text)); j++ {
			text[j] ^= 0xff
		}
		require.NoError(t, os.WriteFile(damaged, text, 0o600))
		l, err := sqlitestore.OpenLedger(damaged, nil)
		if err == nil {
			r.ID, r.Holds[0].Amount = "more", 11
			var full int
			if full, err = l.Reserve(t.Context(), r); err == nil && full < 0 {
				t.Errorf("damaged at %d of %d: more than the limit is granted", i, len(text))
			}
			require.NoError(t, l.Close())
		}
		if err != nil {
			refused++
			require.ErrorIs(t, err, holysheep.ErrLedger, "damaged at %d", i)
		}
	}
	require.Positive(t, refused)
}

// A file that is removed or replaced has lost its accounts for everybody else: whoever has it open refuses.
func TestAFileThatIsGoneIsNoticed(t *testing.T) {
	dir := t.TempDir()
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			other := open(t, filepath.Join(dir, "other"))
			return errors.Join(other.Close(), os.Rename(filepath.Join(dir, "other"), path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, now := filepath.Join(dir, name), time.Now()
			l := open(t, path)
			r := holysheep.Reservation{ID: "1", Now: now, Lease: time.Minute, Holds: []holysheep.Hold{{Key: "a", Amount: 1, Limit: 10}}}
			_, err := l.Reserve(t.Context(), r)
			require.NoError(t, err)
			require.NoError(t, lose(path))
			for range 2 {
				r.ID, r.Now = "2", now.Add(time.Second)
				_, err = l.Reserve(t.Context(), r)
				require.ErrorIs(t, err, holysheep.ErrLedger)
				require.ErrorContains(t, err, "removed or replaced")
			}
		})
	}
}

// Processes that are killed at any moment: what they settled is in the file, and what they held counts as spent once
// its lease is over. HOLYSHEEP_KILLS=200 is the long form.
func TestKilled(t *testing.T) {
	kills := killCount(t)
	path := filepath.Join(t.TempDir(), "ledger")
	open(t, path)
	var settled, reserved int64
	for range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "HOLYSHEEP_KILL_LEDGER="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var done sync.WaitGroup
		done.Go(func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				switch word, n, _ := strings.Cut(lines.Text(), " "); word {
				case "settled":
					v, _ := strconv.ParseInt(n, 10, 64)
					settled += v
				case "reserved":
					reserved++
				}
			}
		})
		time.Sleep(30*time.Millisecond + rand.N(100*time.Millisecond))
		_ = cmd.Process.Kill()
		done.Wait()
		_ = cmd.Wait()
	}
	l := open(t, path)
	a, err := l.Account(t.Context(), "a", time.Now().Add(time.Hour))
	require.NoError(t, err)
	t.Logf("%d kills, %d reservations: %v spent, %v of it by calls that never settled", kills, reserved, a.Spent, a.Expired)
	require.NotZero(t, reserved)
	require.Zero(t, a.Reserved, "no hold outlives its lease")
	require.GreaterOrEqual(t, int64(a.Spent-a.Expired), settled, "something that was settled is lost")
	const mostAtOnce = 4 * 10 // callers times what each holds
	require.LessOrEqual(t, int64(a.Spent-a.Expired)-settled, int64(kills*mostAtOnce))
	require.LessOrEqual(t, int64(a.Expired), int64(kills*mostAtOnce))
}

func killCount(t *testing.T) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("HOLYSHEEP_KILLS")); err == nil {
		return n
	}
	if testing.Short() {
		return 3
	}
	return 20
}

func TestMain(m *testing.M) {
	if path := os.Getenv("HOLYSHEEP_KILL_LEDGER"); path != "" {
		spendUntilKilled(path)
	}
	if path := os.Getenv("HOLYSHEEP_KILL_ROWS"); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

func spendUntilKilled(path string) {
	l, err := sqlitestore.OpenLedger(path, nil)
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	ctx := context.Background()
	for c := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id, now := fmt.Sprint(os.Getpid(), "/", c, "/", i), time.Now()
				refused, err := l.Reserve(ctx, holysheep.Reservation{
					ID: id, Now: now, Lease: time.Minute, Holds: []holysheep.Hold{{Key: "a", Amount: 10, Limit: 1e12}},
				})
				if err != nil || refused >= 0 {
					panic(fmt.Sprint(refused, err))
				}
				_, _ = os.Stdout.WriteString("reserved " + id + "\n")
				if _, err := l.Settle(ctx, id, now, 7); err != nil {
					panic(err)
				}
				_, _ = os.Stdout.WriteString("settled 7\n")
			}
		})
	}
	wg.Wait()
}

// Two processes' worth of connections on one file, at the last cent.
func TestTwoOpeningsOfOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	ledgers := []*sqlitestore.Ledger{open(t, path), open(t, path)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	granted := 0
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				refused, err := ledgers[i%2].Reserve(context.Background(), holysheep.Reservation{
					ID: fmt.Sprint(i, "/", j), Now: time.Now(), Lease: time.Minute, Holds: []holysheep.Hold{{Key: "a", Amount: 1, Limit: 100}},
				})
				if err != nil {
					t.Error(err)
				}
				if err == nil && refused < 0 {
					mu.Lock()
					granted++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 100, granted)
}

func BenchmarkReserveAndSettle(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "ledger"))
	ctx, now := context.Background(), time.Now()
	for i := 0; b.Loop(); i++ {
		id := strconv.Itoa(i)
		if _, err := l.Reserve(ctx, holysheep.Reservation{ID: id, Now: now, Lease: time.Minute, Holds: []holysheep.Hold{{Key: "a", Amount: 10, Limit: holysheep.Dollars(500)}}}); err != nil {
			b.Fatal(err)
		}
		if _, err := l.Settle(ctx, id, now, 1); err != nil {
			b.Fatal(err)
		}
	}
}
