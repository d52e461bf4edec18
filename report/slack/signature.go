package slack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// window is how far Slack's stamp of a request may be off.
const window = 5 * time.Minute

var (
	errUnsigned = errors.New("the request is not signed as Slack signs")
	errStale    = errors.New("the request's time is off by over five minutes, or it was sent before this process began")
	errReplayed = errors.New("the request was sent before")
)

// verified checks Slack's signature (v0) of a body, and gives it with the
// second that it was made in. slack-go's verifier goes by the system's clock; this one is told the time.
func verified(h http.Header, body []byte, secret string, now time.Time) (signature string, at time.Time, err error) {
	stamps, signatures := h.Values("X-Slack-Request-Timestamp"), h.Values("X-Slack-Signature")
	if secret == "" || len(stamps) != 1 || len(signatures) != 1 || len(stamps[0]) > 20 {
		return "", at, errUnsigned
	}
	given, ok := strings.CutPrefix(signatures[0], "v0=")
	mac, err := hex.DecodeString(given)
	seconds, failed := strconv.ParseInt(stamps[0], 10, 64)
	if !ok || err != nil || failed != nil {
		return "", at, errUnsigned
	}
	want := hmac.New(sha256.New, []byte(secret))
	want.Write([]byte("v0:" + stamps[0] + ":"))
	want.Write(body)
	if !hmac.Equal(mac, want.Sum(nil)) {
		return "", at, errUnsigned
	}
	at = time.Unix(seconds, 0)
	if now.Sub(at).Abs() > window {
		return "", at, errStale
	}
	return hex.EncodeToString(mac), at, nil
}

// once remembers what was accepted, for as long as it could be sent again.
type once struct {
	mu   sync.Mutex
	most int
	seen map[string]time.Time // until when
}

var errBusy = errors.New("too many requests within five minutes")

// take accepts a key that was not taken before.
func (o *once) take(key string, now, until time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if end, ok := o.seen[key]; ok && now.Before(end) {
		return errReplayed
	}
	if len(o.seen) >= o.most {
		for k, end := range o.seen {
			if !now.Before(end) {
				delete(o.seen, k)
			}
		}
	}
	if len(o.seen) >= o.most {
		return errBusy
	}
	o.seen[key] = until
	return nil
}
