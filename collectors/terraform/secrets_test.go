package terraform_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crosscheck-dev/crosscheck/audit"
	"github.com/crosscheck-dev/crosscheck/audit/audittest"
	"github.com/crosscheck-dev/crosscheck/collectors/terraform"
)

// encodings are the forms in which a secret may get out.
func encodings(t *testing.T, secret string) []string {
	t.Helper()
	var html, plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(secret); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(&html).Encode(secret); err != nil {
		t.Fatal(err)
	}
	return []string{
		secret, strings.Trim(html.String(), "\"\n"), strings.Trim(plain.String(), "\"\n"), url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(secret)),
	}
}

// everything collects and gives all that leaves the collector, its log and error included.
func everything(t *testing.T, cfg terraform.Config) string {
	t.Helper()
	var out bytes.Buffer
	cfg.Log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := collector(t, cfg)
	w := &audittest.Writer{}
	col, err := c.Collect(t.Context(), audit.Request{Origin: c.Origins()[0]}, w)
	for _, l := range w.Lines {
		out.Write(append(l, '\n'))
	}
	fmt.Fprintf(&out, "%+v\n%v\n", col, err)
	return out.String()
}

func refuseSecrets(t *testing.T, out string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		for _, form := range encodings(t, s) {
			if i := strings.Index(out, form); i >= 0 {
				t.Errorf("secret %q got out as %q: …%s…", s, form, out[max(0, i-120):min(len(out), i+60)])
			}
		}
	}
}

func TestFixturesHoldNoSecret(t *testing.T) {
	t.Parallel()
	secrets := []string{"canary-", "canary-note-Xq7=", "canary-user-data-1", "canary-ssm<&>2", `{"password":"canary-sm-3"}`, "canary-sm-3", "canary-ecs-4", "canary-whole-5", "canary-output-6"}
	var state struct {
		Resources []struct {
			Type      string
			Instances []struct{ Attributes map[string]any }
		}
	}
	b, err := os.ReadFile("testdata/state.tfstate")
	if err == nil {
		err = json.Unmarshal(b, &state)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Resources {
		if r.Type == "aws_iam_access_key" { // made by the server, so not among the canaries
			secrets = append(secrets, r.Instances[0].Attributes["secret"].(string), r.Instances[0].Attributes["ses_smtp_password_v4"].(string))
		}
	}
	for _, file := range []string{"state.tfstate", "state-show.json", "plan.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile("testdata/" + file)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{"canary-note-Xq7=", "canary-output-6", "canary-ecs-4"} {
				if !bytes.Contains(b, []byte(s)) {
					t.Errorf("the recorded file does not hold %q: the test shows nothing", s)
				}
			}
			refuseSecrets(t, everything(t, terraform.Config{Files: []string{"testdata/" + file}}), secrets...)
		})
	}
}

const canary = `canary <&>"\/é+%~1==`

// secretsByPlace is, by type, values in which every CANARY is in a listed place.
var secretsByPlace = map[string]string{
	"aws_instance":                      `{"user_data":CANARY,"user_data_base64":CANARY}`,
	"aws_launch_template":               `{"user_data":CANARY}`,
	"aws_db_instance":                   `{"password":CANARY}`,
	"aws_rds_cluster":                   `{"master_password":CANARY,"master_user_secret":[]}`,
	"aws_iam_access_key":                `{"secret":CANARY,"ses_smtp_password_v4":CANARY}`,
	"aws_ssm_parameter":                 `{"value":CANARY}`,
	"aws_secretsmanager_secret_version": `{"secret_string":CANARY,"secret_binary":CANARY}`,
	"aws_lambda_function":               `{"environment":[{"variables":{"A":CANARY}}]}`,
	"aws_ecs_task_definition":           `{"container_definitions":CANARY}`,
	"aws_cloudformation_stack":          `{"parameters":{"A":CANARY},"outputs":{"B":CANARY}}`,
	"aws_codebuild_project":             `{"environment":[{"environment_variable":[{"name":"A","value":CANARY}]}]}`,
	"aws_elasticache_user":              `{"authentication_mode":[{"passwords":[CANARY]}]}`,
	"aws_mq_broker":                     `{"user":[{"password":CANARY}]}`,
	"aws_cloudwatch_event_connection":   `{"auth_parameters":[{"api_key":[{"key":"k","value":CANARY}],"basic":[{"password":CANARY}]}]}`,
	"aws_vpn_connection":                `{"tunnel1_preshared_key":CANARY,"customer_gateway_configuration":CANARY}`,
	"random_password":                   `{"result":CANARY,"bcrypt_hash":CANARY}`,
	"tls_private_key":                   `{"private_key_pem":CANARY,"private_key_openssh":CANARY,"private_key_pem_pkcs8":CANARY}`,
	"kubernetes_secret_v1":              `{"data":{"a":CANARY},"binary_data":{"b":CANARY}}`,
	"kubernetes_config_map":             `{"data":{"a":CANARY}}`,
	"kubernetes_deployment_v1":          `{"spec":[{"template":[{"spec":[{"container":[{"env":[{"name":"A","value":CANARY}]}],"init_container":[{"env":[{"value":CANARY}]}]}]}]}]}`,
	"kubernetes_cron_job_v1":            `{"spec":[{"job_template":[{"spec":[{"template":[{"spec":[{"container":[{"env":[{"value":CANARY}]}]}]}]}]}]}]}`,
	"kubernetes_pod":                    `{"spec":[{"container":[{"env":[{"value":CANARY}]}]}]}`,
	"kubernetes_manifest":               `{"manifest":{"data":{"a":CANARY},"stringData":{"b":CANARY},"spec":{"template":{"spec":{"containers":[{"env":[{"name":"A","value":CANARY}]}]}}}},"object":{"value":{"spec":{"initContainers":[{"env":[{"value":CANARY}]}]},"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":CANARY}}},"type":[]}}`,
	"kubernetes_cron_job":               `{"spec":[{"job_template":[{"spec":[{"template":[{"spec":[{"init_container":[{"env":[{"value":CANARY}]}]}]}]}]}]}]}`,
	"helm_release":                      `{"values":[CANARY],"set_sensitive":[{"value":CANARY}],"set":[{"name":"a","value":CANARY}]}`,
	"azurerm_storage_account":           `{"primary_access_key":CANARY,"secondary_connection_string":CANARY}`,
	"azurerm_linux_virtual_machine":     `{"admin_password":CANARY,"custom_data":CANARY}`,
	"google_service_account_key":        `{"private_key":CANARY}`,
	"google_sql_user":                   `{"password":CANARY}`,
	"google_compute_instance":           `{"metadata":{"startup-script":CANARY},"metadata_startup_script":CANARY}`,
	"github_actions_secret":             `{"plaintext_value":CANARY,"encrypted_value":CANARY}`,
	"local_file":                        `{"content":CANARY}`,
	"terraform_remote_state":            `{"outputs":{"a":{"b":[CANARY]}}}`,
	"some_thing_unheard_of":             `{"deep":[{"api_token":CANARY,"connection_string":CANARY,"client_secret":CANARY,"token":CANARY}]}`,
}

func TestListedPlaces(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	for typ, values := range secretsByPlace {
		values := strings.ReplaceAll(values, "CANARY", string(quoted))
		for format, in := range map[string]terraform.Input{
			"raw":   stateOf(`{"mode":"managed","type":"` + typ + `","name":"n","instances":[{"attributes":` + values + `}]},{"mode":"data","type":"` + typ + `","name":"n","instances":[{"attributes":` + values + `}]}`),
			"shown": shownOf(`{"address":"` + typ + `.n","mode":"managed","type":"` + typ + `","name":"n","values":` + values + `}`),
			"plan":  planOf("", change(typ+".n", values, `{}`, "create")),
		} {
			t.Run(typ+" "+format, func(t *testing.T) {
				t.Parallel()
				out := everything(t, terraform.Config{Inputs: []terraform.Input{in}})
				refuseSecrets(t, out, canary)
				if !strings.Contains(out, redactor.Token(canary)) {
					t.Errorf("no token stands for the secret: %s", out)
				}
			})
		}
	}
}

func TestMarkedPlaces(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	raw := func(attributes, paths string) terraform.Input {
		return stateOf(`{"mode":"managed","type":"x_y","name":"n","instances":[{"attributes":` + attributes + `,"sensitive_attributes":` + paths + `,"private":CANARY}]}`)
	}
	attr := func(name string) string { return `{"type":"get_attr","value":"` + name + `"}` }
	index := func(key string) string { return `{"type":"index","value":{"value":` + key + `,"type":"string"}}` }
	shown := func(values, marks string) terraform.Input {
		return shownOf(`{"address":"x_y.n","mode":"managed","type":"x_y","name":"n","values":` + values + `,"sensitive_values":` + marks + `}`)
	}
	tests := map[string]struct {
		in   terraform.Input
		want []string
	}{
		"raw, an attribute": {raw(`{"a":CANARY,"b":"open"}`, `[[`+attr("a")+`]]`), []string{"/data/values/a"}},
		"raw, below": {
			raw(`{"a":[{"b/c":{"k~":CANARY}}],"d":"open"}`, `[[`+attr("a")+`,{"type":"index","value":{"value":0,"type":"number"}},`+attr("b/c")+`,`+index(`"k~"`)+`]]`),
			[]string{"/data/values/a/0/b~1c/k~0"},
		},
		"raw, a whole subtree": {raw(`{"a":{"b":[CANARY,1,true,null,CANARY]}}`, `[[`+attr("a")+`]]`), []string{"/data/values/a/b/0", "/data/values/a/b/4"}},
		"raw, within a dynamic value": {
			raw(`{"a":{"value":{"b":CANARY,"c":"open"},"type":["object",{"b":"string","c":"string"}]}}`, `[[`+attr("a")+`,`+attr("b")+`]]`),
			[]string{"/data/values/a/value/b"},
		},
		"raw, an element of a set":    {raw(`{"a":[CANARY,"other"]}`, `[[`+attr("a")+`,{"type":"index","value":{"value":{"x":1},"type":"object"}}]]`), []string{"/data/values/a/0", "/data/values/a/1"}},
		"raw, a path leading nowhere": {raw(`{"a":CANARY}`, `[[`+attr("missing")+`]]`), []string{"/data/values/a"}},
		"raw, everything":             {raw(`{"a":CANARY}`, `[[]]`), []string{"/data/values/a"}},
		"raw, null":                   {raw(`{"a":null,"password":CANARY}`, `[[`+attr("a")+`,`+attr("b")+`]]`), []string{"/data/values/password"}},
		"raw, repeated elsewhere":     {raw(`{"a":CANARY,"b":{"c":[CANARY]},"d":"open"}`, `[[`+attr("a")+`]]`), []string{"/data/values/a", "/data/values/b/c/0"}},
		"shown, marked and listed":    {shown(`{"password":CANARY,"b":CANARY}`, `{"password":true,"b":true}`), []string{"/data/values/b", "/data/values/password"}},
		"shown, a leaf":               {shown(`{"a":[{"b":CANARY},{"b":"open"}]}`, `{"a":[{"b":true},{}]}`), []string{"/data/values/a/0/b"}},
		"shown, everything":           {shown(`{"a":[{"b":CANARY}]}`, `true`), []string{"/data/values/a/0/b"}},
		"planned": {
			planOf(`,"variables":{"v":{"value":CANARY}},"output_changes":{"o":{"after":CANARY}},"resource_drift":[{"change":{"after":{"a":CANARY}}}],"configuration":{"provider_config":{"p":{"expressions":{"secret_key":{"constant_value":CANARY}}}},"root_module":{"variables":{"v":{"default":CANARY}},"resources":[{"address":"x_y.n","expressions":{"a":{"constant_value":CANARY}}}]}},"prior_state":{"values":{"outputs":{"o":{"value":CANARY}},"root_module":{"resources":[{"address":"x_y.n","mode":"managed","type":"x_y","name":"n","values":{"a":CANARY}}]}}}`,
				strings.TrimSuffix(change("x_y.n", `{"a":CANARY,"b":"open"}`, `{}`, "update"), "}}")+`,"before":{"a":CANARY},"before_sensitive":{"a":true},"after_sensitive":{"a":true}}}`),
			[]string{"/data/values/a"},
		},
		"a tag and the name": {
			shown(`{"tags":{"Name":CANARY,"team":"web"}}`, `{"tags":{"Name":true}}`), []string{"/data/values/tags/Name", "/name", "/tags/Name"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := replaced(t, tt.in, "CANARY", string(quoted))
			refuseSecrets(t, everything(t, terraform.Config{Inputs: []terraform.Input{in}}), canary)
			w, _ := collect(t, terraform.Config{Inputs: []terraform.Input{in}})
			got := slices.Sorted(slices.Values(w.Resources[0].Redacted))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("redacted differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEqualSecretsStayEqual(t *testing.T) {
	t.Parallel()
	w, _ := collect(t, terraform.Config{Inputs: []terraform.Input{stateOf(`{"mode":"managed","type":"aws_db_instance","name":"n","instances":[
		{"index_key":0,"attributes":{"password":"same"}},{"index_key":1,"attributes":{"password":"same"}},{"index_key":2,"attributes":{"password":"other"}}]}`)}})
	var got []any
	for _, r := range w.Resources {
		got = append(got, data(t, r)["values"].(map[string]any)["password"])
	}
	if got[0] != got[1] || got[1] == got[2] {
		t.Errorf("tokens are %v, want the first two equal and the third not", got)
	}
}
