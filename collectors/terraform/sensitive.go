package terraform

import (
	"slices"
	"strings"
)

// Terraform marks what providers call sensitive and what derives from
// sensitive variables, but not in every version, not in every format, and some
// providers call too little sensitive. These lists stand beside the marks.

// secretAnywhere lists attribute names that hold secrets in any type, at any
// depth: all string leaves at and below them are replaced.
var secretAnywhere = names(`
	access_key access_secret access_token account_key admin_password administrator_login_password
	administrator_password api_key api_secret api_token app_key application_key auth_token authorization_token
	authentication_token bearer_token bind_password bot_token cert_key certificate_private_key client_key client_secret
	connection_string connection_strings custom_data database_password db_password default_admin_password
	default_primary_connection_string  default_secondary_connection_string 
	 hec_token instrumentation_key kdc_admin_password cross_realm_trust_principal_password
	kube_admin_config_raw kube_config_raw license_key login_password master_auth_token master_password
	master_user_password metadata_startup_script oauth_token passphrase password password_data password_wo passwords
	personal_access_token plaintext_value plaintext_password pre_shared_key preshared_key
	primary_access_key primary_blob_connection_string primary_connection_string  primary_master_key
	primary_readonly_key primary_shared_key private_key private_key_base64 private_key_openssh private_key_pem
	private_key_pem_pkcs8 private_registry_auth_token psk refresh_token registration_token root_password sas_token
	sas_url_query_string secondary_access_key secondary_blob_connection_string secondary_connection_string
	 secondary_master_key secondary_readonly_key secondary_shared_key secret_access_key secret_binary
	secret_data secret_key secret_string secret_string_wo secret_token sensitive_content service_account_key
	session_token shared_access_key shared_key shared_secret signing_key signing_secret sql_password ssh_private_key
	startup_script storage_access_key storage_account_access_key tls_private_key token token_secret
	tunnel1_preshared_key tunnel2_preshared_key user_data user_data_base64 user_password user_token vault_token
	webhook_secret webhook_url
`)

// secretByType lists, for a type, JSON pointers into its values; * is any key
// or index. Data sources follow the list of their type.
var secretByType = byType(`
	aws_amplify_app                   /environment_variables /basic_auth_credentials
	aws_amplify_branch                /environment_variables /basic_auth_credentials
	aws_api_gateway_api_key           /value
	aws_apprunner_service             /source_configuration/*/*/*/runtime_environment_variables /source_configuration/*/*/*/*/*/runtime_environment_variables
	aws_appsync_api_key               /key
	aws_batch_job_definition          /container_properties /node_properties /ecs_properties /eks_properties /parameters
	aws_cloudformation_stack          /parameters /outputs
	aws_cloudformation_stack_set      /parameters
	aws_cloudformation_stack_set_instance /parameter_overrides
	aws_cloudwatch_event_connection   /auth_parameters/*/*/*/value /auth_parameters/*/*/*/*/*/value
	aws_codebuild_project             /environment/*/environment_variable/*/value
	aws_codepipeline                  /stage/*/action/*/configuration/OAuthToken
	aws_cognito_identity_provider     /provider_details
	aws_datasync_location_smb         /password
	aws_dms_endpoint                  /extra_connection_attributes
	aws_dx_bgp_peer                   /bgp_auth_key
	aws_dx_private_virtual_interface  /bgp_auth_key
	aws_dx_public_virtual_interface   /bgp_auth_key
	aws_ecs_task_definition           /container_definitions
	aws_elastic_beanstalk_environment /setting/*/value /all_settings/*/value
	aws_emr_cluster                   /configurations_json
	aws_glue_connection               /connection_properties
	aws_glue_job                      /default_arguments /non_overridable_arguments
	aws_iam_access_key                /secret /ses_smtp_password_v4 /encrypted_secret
	aws_lambda_function               /environment/*/variables
	aws_mwaa_environment              /airflow_configuration_options
	aws_sagemaker_model               /container/*/environment /primary_container/*/environment
	aws_sns_platform_application      /platform_credential /platform_principal
	aws_ssm_parameter                 /value /value_wo /insecure_value
	aws_ssm_parameters_by_path        /values
	aws_vpn_connection                /customer_gateway_configuration
	aws_lambda_invocation             /input /result
	aws_kms_secrets                   /plaintext
	aws_secretsmanager_random_password /random_password
	azurerm_app_configuration         /primary_read_key /primary_write_key /secondary_read_key /secondary_write_key
	azurerm_container_group           /container/*/environment_variables /container/*/secure_environment_variables
	azurerm_container_app             /secret/*/value /template/*/container/*/env/*/value
	azurerm_cosmosdb_account          /primary_key /secondary_key
	azurerm_eventgrid_topic           /primary_access_key /secondary_access_key
	azurerm_iothub_dps_shared_access_policy /primary_key /secondary_key
	azurerm_servicebus_namespace_authorization_rule /primary_key /secondary_key
	azurerm_eventhub_authorization_rule /primary_key /secondary_key
	azurerm_eventhub_namespace        /default_primary_key /default_secondary_key
	azurerm_function_app              /app_settings /connection_string /site_credential
	azurerm_key_vault_secret          /value
	azurerm_kubernetes_cluster        /kube_config /kube_admin_config
	azurerm_linux_function_app        /app_settings /site_credential
	azurerm_linux_web_app             /app_settings /site_credential
	azurerm_windows_function_app      /app_settings /site_credential
	azurerm_windows_web_app           /app_settings /site_credential
	consul_keys                       /key/*/value /var
	docker_container                  /env
	external                          /query /result
	github_actions_secret             /encrypted_value
	google_cloud_run_service          /template/*/spec/*/containers/*/env/*/value
	google_cloud_run_v2_service       /template/*/containers/*/env/*/value
	google_cloudfunctions_function    /environment_variables /build_environment_variables
	google_cloudfunctions2_function   /service_config/*/environment_variables /build_config/*/environment_variables
	google_compute_instance           /metadata/startup-script /metadata/user-data /metadata/windows-startup-script-ps1 /metadata/sysprep-specialize-script-ps1
	google_compute_instance_template  /metadata/startup-script /metadata/user-data /metadata/windows-startup-script-ps1 /metadata/sysprep-specialize-script-ps1
	google_container_cluster          /master_auth
	heroku_app                        /sensitive_config_vars /all_config_vars
	helm_release                      /values /set/*/value /set_list/*/value /set_sensitive /manifest /metadata/*/values
	http                              /request_headers /request_body /response_body /body /response_body_base64
	kubernetes_config_map             /data /binary_data
	kubernetes_config_map_v1          /data /binary_data
	kubernetes_config_map_v1_data     /data
	kubernetes_secret                 /data /binary_data /data_wo /binary_data_wo
	kubernetes_secret_v1              /data /binary_data /data_wo /binary_data_wo
	kubernetes_secret_v1_data         /data
	kubernetes_manifest               /manifest/data /manifest/stringData /manifest/binaryData /object/data /object/stringData /object/binaryData /manifest/value/data /manifest/value/stringData /manifest/value/binaryData /object/value/data /object/value/stringData /object/value/binaryData /manifest/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration /object/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration /manifest/value/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration /object/value/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration
	kubectl_manifest                  /yaml_body /yaml_body_parsed /yaml_incluster /live_manifest_incluster
	local_file                        /content /content_base64 /sensitive_content
	local_sensitive_file              /content /content_base64
	nomad_job                         /jobspec
	random_bytes                      /base64 /hex
	random_password                   /result /bcrypt_hash
	random_string                     /result
	sops_file                         /data /raw
	terraform_remote_state            /outputs /config /defaults
	tfe_outputs                       /values /nonsensitive_values
	tfe_variable                      /value /readable_value
	vault_generic_secret              /data /data_json
	vault_kv_secret                   /data /data_json
	vault_kv_secret_v2                /data /data_json
`)

// podTemplates lists where a type keeps the specifications of pods; the literal
// of an environment variable is replaced wherever one stands.
var podTemplates = byType(`
	kubernetes_cron_job               /spec/*/job_template/*/spec/*/template/*/spec/*
	kubernetes_daemonset              /spec/*/template/*/spec/*
	kubernetes_daemon_set             /spec/*/template/*/spec/*
	kubernetes_deployment             /spec/*/template/*/spec/*
	kubernetes_job                    /spec/*/template/*/spec/*
	kubernetes_pod                    /spec/*
	kubernetes_replication_controller /spec/*/template/*/spec/*
	kubernetes_stateful_set           /spec/*/template/*/spec/*
	kubernetes_manifest               /*/spec /*/spec/template/spec /*/spec/jobTemplate/spec/template/spec /*/value/spec /*/value/spec/template/spec /*/value/spec/jobTemplate/spec/template/spec
`)

// containerLists are the keys under which providers and manifests list containers.
var containerLists = []string{"container", "init_container", "containers", "initContainers", "ephemeralContainers"}

func names(text string) map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(text) {
		out[name] = true
	}
	return out
}

func byType(text string) map[string][]string {
	out := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		out[words[0]] = words[1:]
	}
	return out
}

// secretPlaces gives the pointers into the values of a type that the lists name, * for any key or index.
func secretPlaces(typ string) []string {
	out := slices.Clone(secretByType[typ])
	for _, spec := range podTemplates[strings.TrimSuffix(strings.TrimSuffix(typ, "_v1"), "_v1beta1")] {
		for _, containers := range containerLists {
			out = append(out, spec+"/"+containers+"/*/env/*/value")
		}
	}
	return out
}
