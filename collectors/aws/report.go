package aws

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

const (
	reportCall   = "iam:GetCredentialReport"
	generateCall = "iam:GenerateCredentialReport"
	rootUser     = "<root_account>"
)

// credentialReportCall answers with the report's row of one user: its columns
// as AWS names them, and when AWS made the report.
func credentialReportCall(user func(subject) string) call {
	return call{
		operation: reportCall, permission: reportCall, needs: []string{generateCall},
		read: func(ctx context.Context, s *session, about subject, _ *meter) (any, error) {
			rows, err := s.report.get(ctx, s)
			if err != nil {
				return nil, err
			}
			row, ok := rows[user(about)]
			if !ok {
				return nil, &operationError{reportCall, fmt.Errorf("the report has no row for %q: %w", user(about), errTruncated)}
			}
			return row, nil
		},
	}
}

// credentialReport is fetched once for each reading. Its zero value is ready.
type credentialReport struct {
	mu   sync.Mutex
	done bool
	rows map[string]map[string]string
	err  error
}

func (c *credentialReport) get(ctx context.Context, s *session) (map[string]map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		c.rows, c.err = s.fetchReport(ctx)
		c.done = true
	}
	return c.rows, c.err
}

// fetchReport has AWS make the report, which takes seconds to minutes, and
// reads it. AWS makes a new one every four hours at most.
func (s *session) fetchReport(ctx context.Context) (map[string]map[string]string, error) {
	err := error(&operationError{generateCall, errors.New("the report was not ready in time")})
	for poll := range s.cfg.ReportPolls {
		if poll > 0 {
			if werr := wait(ctx, s.cfg.ReportPoll); werr != nil {
				return nil, &operationError{generateCall, werr}
			}
		}
		ready, gerr := s.generateReport(ctx)
		if gerr != nil {
			return nil, gerr
		}
		if !ready {
			continue
		}
		rows, rerr := s.readReport(ctx)
		if !pending(rerr) {
			return rows, rerr
		}
		err = rerr
	}
	return nil, err
}

func (s *session) generateReport(ctx context.Context) (ready bool, err error) {
	m := s.meter(generateCall, generateCall, nil)
	end := m.start()
	out, err := s.iam.GenerateCredentialReport(ctx, &iam.GenerateCredentialReportInput{})
	end(err)
	if err != nil {
		m.errors.Add(1)
		return false, &operationError{generateCall, err}
	}
	return out.State == types.ReportStateTypeComplete, nil
}

func (s *session) readReport(ctx context.Context) (map[string]map[string]string, error) {
	m := s.meter(reportCall, reportCall, nil)
	end := m.start()
	out, err := s.iam.GetCredentialReport(ctx, &iam.GetCredentialReportInput{})
	if pending(err) {
		end(nil)
		return nil, &operationError{reportCall, err}
	}
	var rows map[string]map[string]string
	if err == nil {
		rows, err = parseReport(out.Content)
	}
	end(err)
	if err != nil {
		m.errors.Add(1)
		return nil, &operationError{reportCall, err}
	}
	m.items.Add(int64(len(rows)))
	if out.GeneratedTime != nil {
		for _, row := range rows {
			row["GeneratedTime"] = out.GeneratedTime.UTC().Format(time.RFC3339)
		}
	}
	return rows, nil
}

// pending tells whether asking again can help: the report is in the making, or
// has to be made anew.
func pending(err error) bool {
	return says(err, []string{"ReportInProgress", "ReportNotPresent", "ReportExpired"})
}

// parseReport reads the report's CSV into one row for each user. Anything
// irregular makes the whole report worthless: a shifted column would judge
// people by somebody else's password.
func parseReport(content []byte) (map[string]map[string]string, error) {
	if !utf8.Valid(content) {
		return nil, errors.New("the credential report is not UTF-8")
	}
	in := csv.NewReader(bytes.NewReader(content))
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("the credential report has no header: %w", err)
	}
	for i, column := range header {
		if column == "" || slices.Contains(header[:i], column) {
			return nil, fmt.Errorf("the credential report's column %d has no name of its own", i+1)
		}
	}
	user := slices.Index(header, "user")
	if user < 0 || len(header) > maxColumns {
		return nil, fmt.Errorf("the credential report has %d columns, and none of them is user", len(header))
	}
	rows := map[string]map[string]string{}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the credential report is cut off or garbled: %w", err)
		}
		if rows[record[user]] != nil {
			return nil, errors.New("the credential report has two rows for one user")
		}
		row := make(map[string]string, len(header)+1)
		for i, column := range header {
			row[column] = record[i]
		}
		rows[record[user]] = row
	}
}

const maxColumns = 200

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
