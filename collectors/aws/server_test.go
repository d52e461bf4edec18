package aws_test

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const account = "111122223333"

// estate is an AWS account behind an httptest server that answers as AWS
// documents it, in pages of two. Fields are set before the first request.
type estate struct {
	account  string
	users    []string
	keys     int // of each user; devices and tags as many
	buckets  []bucket
	machines int               // instances, volumes, groups and databases in each region
	answers  map[string]string // operation → XML in place of the usual answer
	faults   map[string]fault  // operation → what to answer instead
	states   []string          // of the credential report, one for each request to make it
	reports  []fault           // for the first requests of the credential report
	csv      string
	mute     bool // ListBuckets says neither where buckets are nor heeds the filter
	endless  string

	mu    sync.Mutex
	asked map[string]int
	keyed map[string]bool // access keys that signed
}

type bucket struct{ name, region string }

type fault struct {
	status int
	code   string
	body   string // in place of the error's XML
}

// usual is an account with several pages of everything.
func usual() *estate {
	return &estate{
		account: account, users: []string{"ada", "ben", "cem", "dao", "eve"}, keys: 5, machines: 5,
		buckets: []bucket{
			{"acme-a", "eu-west-1"}, {"acme-b", "eu-west-1"}, {"acme-c", "eu-west-1"}, {"acme-d", "eu-central-1"}, {"acme-e", "eu-west-1"},
		},
	}
}

func (e *estate) start(t testing.TB) string {
	t.Helper()
	e.asked, e.keyed = map[string]int{}, map[string]bool{}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server.URL
}

// count tells how often an operation was asked.
func (e *estate) count(operation string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked[operation]
}

// signed tells whether a request was signed with an access key.
func (e *estate) signed(key string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keyed[key]
}

var credential = regexp.MustCompile(`Credential=([^/]+)/[0-9]+/([^/]+)/([^/]+)/`)

// ServeHTTP implements http.Handler.
func (e *estate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	m := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		http.Error(w, "unsigned", http.StatusForbidden)
		return
	}
	key, region, service := m[1], m[2], m[3]
	operation := service + ":" + form.Get("Action")
	if service == "s3" {
		operation = s3Operation(r)
	}
	e.mu.Lock()
	n := e.asked[operation]
	e.asked[operation]++
	e.keyed[key] = true
	e.mu.Unlock()
	if f, ok := e.faults[operation]; ok {
		shape, _, _ := strings.Cut(operation, ":") // S3 Control signs as s3
		f.write(w, shape)
		return
	}
	if answer, ok := e.answers[operation]; ok {
		_, _ = io.WriteString(w, answer)
		return
	}
	switch service {
	case "sts":
		e.sts(w, form)
	case "iam":
		e.iam(w, form, n)
	case "ec2":
		e.ec2(w, form, region)
	case "rds":
		e.rds(w, form)
	case "s3":
		e.s3(w, r, operation)
	}
}

func (f fault) write(w http.ResponseWriter, service string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(f.status)
	switch {
	case f.body != "":
		_, _ = io.WriteString(w, f.body)
	case service == "ec2":
		_, _ = fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>", f.code)
	case service == "s3":
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", f.code)
	default:
		_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>", f.code)
	}
}

func s3Operation(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/v20180820/configuration/publicAccessBlock") {
		return "s3control:GetPublicAccessBlock"
	}
	for parameter, operation := range map[string]string{
		"location": "GetBucketLocation", "encryption": "GetBucketEncryption", "publicAccessBlock": "GetPublicAccessBlock",
		"policyStatus": "GetBucketPolicyStatus", "versioning": "GetBucketVersioning", "logging": "GetBucketLogging", "tagging": "GetBucketTagging",
		"acl": "GetBucketAcl", "policy": "GetBucketPolicy", "ownershipControls": "GetBucketOwnershipControls",
	} {
		if r.URL.Query().Has(parameter) {
			return "s3:" + operation
		}
	}
	return "s3:ListBuckets"
}

func (e *estate) sts(w io.Writer, form url.Values) {
	if form.Get("Action") == "AssumeRole" {
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE%s</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2126-11-21T02:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, esc(form.Get("ExternalId")))
		return
	}
	_, _ = fmt.Fprintf(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::%s:user/auditor</Arn><UserId>AIDA</UserId><Account>%s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, e.account, e.account)
}

func (e *estate) iam(w http.ResponseWriter, form url.Values, n int) {
	action, user := form.Get("Action"), form.Get("UserName")
	list := func(member string, items []string) {
		from, to, next := e.page(action, form.Get("Marker"), len(items))
		_, _ = fmt.Fprintf(w, "<%sResponse><%sResult><%s>", action, action, member)
		for _, item := range items[from:to] {
			_, _ = fmt.Fprintf(w, "<member>%s</member>", item)
		}
		_, _ = fmt.Fprintf(w, "</%s><IsTruncated>%t</IsTruncated>%s</%sResult></%sResponse>", member, next != "", element("Marker", next), action, action)
	}
	switch action {
	case "ListUsers":
		var items []string
		for _, u := range e.users {
			items = append(items, element("UserName", u)+element("Path", "/")+element("Arn", "arn:aws:iam::"+e.account+":user/"+u)+element("CreateDate", "2026-01-02T03:04:05Z"))
		}
		list("Users", items)
	case "ListAccessKeys":
		list("AccessKeyMetadata", e.several(element("UserName", user)+element("AccessKeyId", "AKIA%d")+element("Status", "Active")))
	case "ListMFADevices":
		list("MFADevices", e.several(element("UserName", user)+element("SerialNumber", "mfa%d")))
	case "ListUserTags":
		list("Tags", e.several(element("Key", "key%d")+element("Value", "value%d of "+user)))
	case "GetAccountSummary":
		_, _ = io.WriteString(w, `<GetAccountSummaryResponse><GetAccountSummaryResult><SummaryMap><entry><key>AccountMFAEnabled</key><value>1</value></entry></SummaryMap></GetAccountSummaryResult></GetAccountSummaryResponse>`)
	case "GetAccountPasswordPolicy":
		fault{status: 404, code: "NoSuchEntity"}.write(w, "iam")
	case "GenerateCredentialReport":
		state := "COMPLETE"
		if n < len(e.states) {
			state = e.states[n]
		}
		_, _ = fmt.Fprintf(w, `<GenerateCredentialReportResponse><GenerateCredentialReportResult><State>%s</State></GenerateCredentialReportResult></GenerateCredentialReportResponse>`, state)
	case "GetCredentialReport":
		if n < len(e.reports) {
			e.reports[n].write(w, "iam")
			return
		}
		content := base64.StdEncoding.EncodeToString([]byte(e.report()))
		_, _ = fmt.Fprintf(w, `<GetCredentialReportResponse><GetCredentialReportResult><Content>%s</Content><ReportFormat>text/csv</ReportFormat><GeneratedTime>2026-11-21T01:00:00Z</GeneratedTime></GetCredentialReportResult></GetCredentialReportResponse>`, content)
	}
}

func (e *estate) report() string {
	if e.csv != "" {
		return e.csv
	}
	out := "user,arn,password_enabled,mfa_active\n<root_account>,arn:aws:iam::" + e.account + ":root,not_supported,true\n"
	for _, u := range e.users {
		out += u + ",arn:aws:iam::" + e.account + ":user/" + u + ",true,false\n"
	}
	return out
}

// several repeats a template, numbered.
func (e *estate) several(template string) []string {
	var out []string
	for i := range e.keys {
		out = append(out, strings.ReplaceAll(template, "%d", strconv.Itoa(i)))
	}
	return out
}

// page cuts a list; the token is where the next page begins.
func (e *estate) page(action, token string, n int) (from, to int, next string) {
	if action == e.endless {
		return 0, min(2, n), "again"
	}
	from, _ = strconv.Atoi(token)
	from = min(from, n)
	to = min(from+2, n)
	if to < n {
		next = strconv.Itoa(to)
	}
	return from, to, next
}

func (e *estate) ec2(w io.Writer, form url.Values, region string) {
	action := form.Get("Action")
	if action == "GetEbsEncryptionByDefault" {
		_, _ = io.WriteString(w, `<GetEbsEncryptionByDefaultResponse><ebsEncryptionByDefault>true</ebsEncryptionByDefault></GetEbsEncryptionByDefaultResponse>`)
		return
	}
	e.ec2List(w, form, region)
}

func (e *estate) ec2List(w io.Writer, form url.Values, region string) {
	action := form.Get("Action")
	var set, template string
	switch action {
	case "DescribeInstances":
		set = "reservationSet"
		template = "<instancesSet><item><instanceId>i-%d</instanceId><metadataOptions><httpTokens>required</httpTokens></metadataOptions>" +
			"<tagSet><item><key>Name</key><value>web %d</value></item></tagSet></item></instancesSet>"
	case "DescribeVolumes":
		set, template = "volumeSet", "<volumeId>vol-%d</volumeId><encrypted>true</encrypted><size>8</size>"
	case "DescribeSecurityGroups":
		set, template = "securityGroupInfo", "<groupId>sg-%d</groupId><groupName>group %d in "+region+"</groupName>"
	}
	var in []string
	for i := range e.machines {
		item := strings.ReplaceAll(template, "%d", strconv.Itoa(i))
		if form.Get("Filter.1.Name") == "" || slices.ContainsFunc(values(form, "Filter.1.Value"), func(id string) bool { return strings.Contains(item, "Id>"+id+"<") }) {
			in = append(in, item)
		}
	}
	from, to, next := e.page(action, form.Get("NextToken"), len(in))
	_, _ = fmt.Fprintf(w, "<%sResponse><%s>", action, set)
	for _, item := range in[from:to] {
		_, _ = fmt.Fprintf(w, "<item>%s</item>", item)
	}
	_, _ = fmt.Fprintf(w, "</%s>%s</%sResponse>", set, element("nextToken", next), action)
}

func (e *estate) rds(w io.Writer, form url.Values) {
	var in []string
	for i := range e.machines {
		name := fmt.Sprintf("base-%d", i)
		if form.Get("Filters.Filter.1.Name") == "db-instance-id" && !slices.Contains(values(form, "Filters.Filter.1.Values.Value"), name) {
			continue
		}
		in = append(in, element("DBInstanceIdentifier", name)+element("DeletionProtection", "true")+
			"<PendingModifiedValues>"+element("MasterUserPassword", "canary-password")+"</PendingModifiedValues>"+
			"<TagList><Tag>"+element("Key", "owner")+element("Value", "payments")+"</Tag></TagList>")
	}
	from, to, next := e.page("DescribeDBInstances", form.Get("Marker"), len(in))
	_, _ = io.WriteString(w, "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances>")
	for _, item := range in[from:to] {
		_, _ = fmt.Fprintf(w, "<DBInstance>%s</DBInstance>", item)
	}
	_, _ = fmt.Fprintf(w, "</DBInstances>%s</DescribeDBInstancesResult></DescribeDBInstancesResponse>", element("Marker", next))
}

// values are those of a parameter that is a list.
func values(form url.Values, name string) (out []string) {
	for i := 1; form.Has(fmt.Sprintf("%s.%d", name, i)); i++ {
		out = append(out, form.Get(fmt.Sprintf("%s.%d", name, i)))
	}
	return out
}

func (e *estate) s3(w http.ResponseWriter, r *http.Request, operation string) {
	switch operation {
	case "s3:ListBuckets":
		e.listBuckets(w, r.URL.Query())
	case "s3control:GetPublicAccessBlock":
		fault{status: 404, code: "NoSuchPublicAccessBlockConfiguration"}.write(w, "s3control")
	case "s3:GetBucketLocation":
		name := strings.Trim(r.URL.Path, "/")
		i := slices.IndexFunc(e.buckets, func(b bucket) bool { return b.name == name })
		if i < 0 || r.Header.Get("X-Amz-Expected-Bucket-Owner") != e.account {
			fault{status: 404, code: "NoSuchBucket"}.write(w, "s3")
			return
		}
		_, _ = fmt.Fprintf(w, `<LocationConstraint>%s</LocationConstraint>`, e.buckets[i].region)
	case "s3:GetBucketEncryption":
		_, _ = io.WriteString(w, `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`)
	case "s3:GetPublicAccessBlock":
		fault{status: 404, code: "NoSuchPublicAccessBlockConfiguration"}.write(w, "s3")
	case "s3:GetBucketPolicyStatus":
		_, _ = io.WriteString(w, `<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>`)
	case "s3:GetBucketPolicy":
		_, _ = io.WriteString(w, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Condition":{"StringEquals":{"aws:Referer":"canary-referer"},"NumericLessThan":{"s3:max-keys":10.50}}}]}`)
	case "s3:GetBucketOwnershipControls":
		fault{status: 404, code: "OwnershipControlsNotFoundError"}.write(w, "s3")
	case "s3:GetBucketTagging":
		_, _ = io.WriteString(w, `<Tagging><TagSet><Tag><Key>data_classification</Key><Value>restricted</Value></Tag></TagSet></Tagging>`)
	case "s3:GetBucketVersioning":
		_, _ = io.WriteString(w, `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
	case "s3:GetBucketLogging":
		_, _ = io.WriteString(w, `<BucketLoggingStatus/>`)
	case "s3:GetBucketAcl":
		_, _ = io.WriteString(w, `<AccessControlPolicy><Owner><ID>abc</ID></Owner><AccessControlList/></AccessControlPolicy>`)
	}
}

func (e *estate) listBuckets(w io.Writer, query url.Values) {
	var in []bucket
	for _, b := range e.buckets {
		if want := query.Get("bucket-region"); (want == "" || want == b.region || e.mute) && strings.HasPrefix(b.name, query.Get("prefix")) {
			in = append(in, b)
		}
	}
	from, to, next := e.page("ListBuckets", query.Get("continuation-token"), len(in))
	_, _ = io.WriteString(w, "<ListAllMyBucketsResult><Buckets>")
	for _, b := range in[from:to] {
		region := element("BucketRegion", b.region)
		if e.mute {
			region = ""
		}
		_, _ = fmt.Fprintf(w, "<Bucket>%s%s<CreationDate>2026-01-02T03:04:05.000Z</CreationDate></Bucket>", element("Name", b.name), region)
	}
	_, _ = fmt.Fprintf(w, "</Buckets>%s</ListAllMyBucketsResult>", element("ContinuationToken", next))
}

// element renders one element of XML, or nothing.
func element(name, value string) string {
	if value == "" {
		return ""
	}
	return "<" + name + ">" + esc(value) + "</" + name + ">"
}

func esc(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
