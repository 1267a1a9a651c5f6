package ledgertest_test

import (
	"testing"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/ledgertest"
)

func TestMemoryLedger(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) holysheep.Ledger { return &holysheep.MemoryLedger{} })
}
