package elastic

import (
	"context"

	"github.com/crosscheck-dev/crosscheck/audit"
)

// Documents renders what is delivered of a run.
func Documents(cfg Config, rec audit.Record, yield func(id string, doc []byte) error) error {
	exceptions, err := exceptionsOf(context.Background(), rec)
	if err != nil {
		return err
	}
	return newWriter(cfg, rec, "delivery", exceptions).documents(context.Background(), yield)
}

// RepairDocument renders what is delivered of a repair.
func RepairDocument(a audit.Announcement, yield func(id string, doc []byte) error) error {
	return repairDocument(Config{}, a, "delivery", yield)
}

// AddressOf decodes a cloud ID.
func AddressOf(id string) (string, error) { return addressOf(id) }

// Mappings are those of crosscheck@mappings.
func Mappings() []byte { return mappings }
