package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/evidence/ledger"
)

func (a *app) deliveriesCmd() *cobra.Command {
	return group(&cobra.Command{
		Use: "deliveries", Short: "Read what sinks were sent and are still owed, and retry it",
		Example: "  crosscheck deliveries list --status waiting\n  crosscheck deliveries retry --sink slack",
	}, a.deliveriesListCmd(), a.deliveriesShowCmd(), a.deliveriesRetryCmd())
}

// deliveryFlags narrow deliveries.
type deliveryFlags struct {
	sink   string
	status string
	run    string
}

func (f *deliveryFlags) register(cmd *cobra.Command, statuses ...string) {
	cmd.Flags().StringVar(&f.sink, "sink", "", "only this sink")
	cmd.Flags().StringVar(&f.status, "status", "", "only what is "+either(statuses))
	cmd.Flags().StringVar(&f.run, "run", "", "only this run (its id, or the beginning of it)")
	complete(cmd, "status", statuses...)
}

func either(words []string) string {
	out := words[0]
	for i, w := range words[1:] {
		if i == len(words)-2 {
			out += " or " + w
		} else {
			out += ", " + w
		}
	}
	return out
}

func (f deliveryFlags) query(ctx context.Context, in *installation, statuses ...string) (ledger.DeliveryQuery, error) {
	q := ledger.DeliveryQuery{Sink: f.sink, Status: audit.DeliveryStatus(f.status)}
	if err := checkWord("status", f.status, append(statuses, "")...); err != nil {
		return q, err
	}
	if f.run != "" {
		run, err := in.ledger.Run(ctx, f.run)
		if err != nil {
			return q, err
		}
		q.Subject = run.ID
	}
	return q, nil
}

var deliveryStatuses = []string{string(audit.Waiting), string(audit.Delivered), string(audit.Refused)}

func (a *app) deliveriesListCmd() *cobra.Command {
	var f deliveryFlags
	var limit int
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List deliveries, the latest first", Args: cobra.NoArgs,
		Long: `Lists what each sink was sent and is owed. A delivery is one of these:

  waiting    not tried yet, or it failed and is tried again at NEXT
  delivered  the sink took it; REJECTED documents of it were refused for good, see show
  refused    no retry cures it, or a week of them did not: mend what DETAIL says,
             then crosscheck deliveries retry`,
		Example: `  crosscheck deliveries list
  crosscheck deliveries list --status waiting --sink elasticsearch
  crosscheck deliveries list --run 3f9a2c -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.listDeliveries(cmd.Context(), f, limit, output)
		},
	}
	f.register(cmd, deliveryStatuses...)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) listDeliveries(ctx context.Context, f deliveryFlags, limit int, output string) (err error) {
	err = checkWord("output", output, "table", "json")
	if limit < 1 {
		err = errors.Join(err, fmt.Errorf("--limit %d: expected at least 1", limit))
	}
	if err != nil {
		return err
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	q, err := f.query(ctx, in, deliveryStatuses...)
	if err != nil {
		return err
	}
	q.Limit = limit
	list, err := in.ledger.Deliveries(ctx, q)
	if err != nil {
		return err
	}
	if output == "json" {
		return a.json(map[string]any{"deliveries": append([]audit.Delivery{}, list...)})
	}
	t := newTable(a.out, "NUMBER", "SINK", "OF", "STATUS", "QUEUED", "TRIES", "NEXT", "REJECTED", "DETAIL")
	for _, d := range list {
		next := "-"
		if !d.Next.IsZero() {
			next = audit.Stamp(d.Next)
		}
		t.row(strconv.FormatInt(d.Seq, 10), d.Sink, ofDelivery(d), string(d.Status), audit.Stamp(d.Queued),
			strconv.Itoa(d.Tries), next, strconv.FormatInt(d.Rejected, 10), orDash(printable(d.Detail)))
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\n%s\n", count(int64(len(list)), "delivery", "deliveries"))
	return err
}

// ofDelivery names what is delivered.
func ofDelivery(d audit.Delivery) string {
	if d.Kind == audit.OfRun {
		return "run " + short(d.Subject)
	}
	return string(d.Kind) + " " + printable(d.Subject)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (a *app) deliveriesShowCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show NUMBER", Short: "Show a delivery, and the documents that its sink refused", Args: wanted(1, 1, "a number of `deliveries list`"),
		Example: "  crosscheck deliveries show 12\n  crosscheck deliveries show 12 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			seq, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no number of a delivery: see `%s`", args[0], a.command("deliveries list"))
			}
			return errors.Join(checkWord("output", output, "table", "json"), a.showDelivery(cmd.Context(), seq, output))
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showDelivery(ctx context.Context, seq int64, output string) (err error) {
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	list, err := in.ledger.Deliveries(ctx, ledger.DeliveryQuery{Seq: seq})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("no delivery %d on record: see `%s`", seq, a.command("deliveries list"))
	}
	d := list[0]
	const most = 1000
	rejected, err := in.ledger.Rejections(ctx, seq, most)
	if err != nil {
		return err
	}
	if output == "json" {
		out := map[string]any{"delivery": d, "rejections": append([]audit.Rejection{}, rejected...)}
		if d.Kind != audit.OfRun {
			out["announcement"] = d.Announcement
		}
		return a.json(out)
	}
	t := newTable(a.out, "DELIVERY", strconv.FormatInt(d.Seq, 10))
	t.row("sink", d.Sink)
	t.row("of", ofDelivery(d))
	t.row("status", string(d.Status))
	t.row("queued", audit.Stamp(d.Queued))
	t.row("tries", strconv.Itoa(d.Tries))
	if !d.Last.IsZero() {
		t.row("last try", audit.Stamp(d.Last))
	}
	if !d.Next.IsZero() {
		t.row("next try", audit.Stamp(d.Next))
	}
	if d.Detail != "" {
		t.row("detail", printable(d.Detail))
	}
	if err := t.flush(); err != nil || len(rejected) == 0 {
		return err
	}
	if _, err := fmt.Fprintf(a.out, "\n%s refused for good, the first %d:\n", count(d.Rejected, "document", "documents"), len(rejected)); err != nil {
		return err
	}
	t = newTable(a.out, "DOCUMENT", "REASON")
	for _, r := range rejected {
		t.row(printable(r.ID), printable(r.Reason))
	}
	return t.flush()
}

func (a *app) deliveriesRetryCmd() *cobra.Command {
	var f deliveryFlags
	var delivered bool
	cmd := &cobra.Command{
		Use: "retry", Short: "Deliver now what waits or was refused", Args: cobra.NoArgs,
		Long: `Tries at once what waits and what was refused, without waiting for its time. Where a
daemon runs with the same data_dir, it does so; else this command does. What was
delivered is sent again only with --delivered: Elasticsearch takes no document twice,
but Slack and streams do.

Exit codes: 0 all of it is delivered, or left to the daemon; 1 some of it failed.`,
		Example: `  crosscheck deliveries retry
  crosscheck deliveries retry --sink elasticsearch --status refused
  crosscheck deliveries retry --sink files --run 3f9a2c --delivered`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.retryDeliveries(cmd.Context(), f, delivered) },
	}
	f.register(cmd, string(audit.Waiting), string(audit.Refused))
	cmd.Flags().BoolVar(&delivered, "delivered", false, "also what was delivered: needs --sink and --run")
	return cmd
}

func (a *app) retryDeliveries(ctx context.Context, f deliveryFlags, delivered bool) (err error) {
	if delivered && (f.sink == "" || f.run == "") {
		return errors.New("--delivered: say which by --sink and --run")
	}
	in, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	box, err := a.outbox(in, &packs{}, nil)
	if err != nil {
		return err
	}
	if f.sink != "" {
		if err := checkWord("sink", f.sink, box.Sinks()...); err != nil {
			return err
		}
	}
	q, err := f.query(ctx, in, string(audit.Waiting), string(audit.Refused))
	if err != nil {
		return err
	}
	n, err := in.ledger.Retry(ctx, q, a.now(), delivered)
	if err != nil {
		return err
	}
	failed := box.Flush(ctx)
	waiting, err := in.ledger.Deliveries(ctx, ledger.DeliveryQuery{Sink: f.sink, Subject: q.Subject, Status: audit.Waiting, Limit: 1000})
	if err != nil {
		return errors.Join(failed, err)
	}
	_, err = fmt.Fprintf(a.out, "%s to retry, %d still waiting\n", count(n, "delivery", "deliveries"), len(waiting))
	return errors.Join(err, failed)
}
