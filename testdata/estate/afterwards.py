#!/usr/bin/env python3
"""What Terraform must not know: run once, after `terraform apply`, with the python of moto's venv.

afterwards.py ENDPOINT. People change things by hand, keys grow old, and machines come and go. DEFECTS.md
says what is wrong with the result.
"""

import json
import sys
import urllib.request

import boto3
from botocore.config import Config

endpoint = sys.argv[1]
PROD, ARCHIVE = "123456789012", "210987654321"


def tests(path, body):
    request = urllib.request.Request(endpoint + path, json.dumps(body).encode())
    urllib.request.urlopen(request).read()


def client(service, url=endpoint, **settings):
    return boto3.client(
        service,
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="FAKEadmin",
        aws_secret_access_key="FAKEsecret",
        config=Config(s3={"addressing_style": "path"}, **settings),
    )


def second_factor(iam, user):
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName=user)["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(UserName=user, SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321")


def key_of_age(iam, user, days, active=True):
    tests("/x/clock", {"days": -days})
    key = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    tests("/x/clock", {"days": 0})
    if not active:
        iam.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")


def people():
    iam = client("iam")
    for user in ("ylva.brandt", "teun.verhoef", "bea.lindqvist"):
        second_factor(iam, user)
    key_of_age(iam, "teun.verhoef", 30)
    key_of_age(iam, "pieter.dewit", 400)
    key_of_age(iam, "svc-backup", 120)
    key_of_age(iam, "svc-billing", 89)
    key_of_age(iam, "svc-ci", 3)
    key_of_age(iam, "svc-ci", 200)
    key_of_age(iam, "svc-wms-export", 500, active=False)


def accounts():
    tests("/x/root", {"account": PROD, "mfa": True, "keys": 0})
    tests("/x/root", {"account": ARCHIVE, "mfa": False, "keys": 0})
    # Its host names begin with the account: let moto be the proxy for all of them.
    control = client("s3control", url="http://moto.test", proxies={"http": endpoint})
    control.put_public_access_block(AccountId=PROD, PublicAccessBlockConfiguration=BLOCKED)


BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


def buckets():
    s3 = client("s3")
    s3.delete_public_access_block(Bucket="nordhafen-partner-dropbox")
    s3.delete_bucket(Bucket="nordhafen-reporting-2024")
    s3.create_bucket(Bucket="nordhafen-mvogel-tmp", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})


def databases():
    client("rds").modify_db_instance(DBInstanceIdentifier="portal-orders", DeletionProtection=False)


def machines():
    ec2 = client("ec2")
    private = {"Name": "tag:Name", "Values": ["nordhafen-euc1-private"]}
    subnet = ec2.describe_subnets(Filters=[private])["Subnets"][0]
    amazon = {"Name": "name", "Values": ["amzn2-ami-*"]}
    image = sorted(i["ImageId"] for i in ec2.describe_images(Filters=[amazon])["Images"])[0]

    def group(name):
        return ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"][0]

    def launch(name, address, tags, endpoint):
        root = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "Encrypted": True}}
        instance = ec2.run_instances(
            ImageId=image, InstanceType="t3.large", MinCount=1, MaxCount=1,
            SubnetId=subnet["SubnetId"], PrivateIpAddress=address,
            SecurityGroupIds=[group("inside")["GroupId"]],
            MetadataOptions={"HttpEndpoint": endpoint, "HttpTokens": "optional"},
            BlockDeviceMappings=[root],
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items() | {("Name", name)}]},
                {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name + "-root"}]},
            ],
        )  # fmt: skip
        return instance["Instances"][0]["InstanceId"]

    # Started for an experiment and forgotten.
    launch("mvogel-gpu-test", "172.31.21.77", {}, "enabled")
    # Taken out of Terraform and stopped, as its NetBox status says.
    name = "ip-172-31-18-244.eu-central-1.compute.internal"
    ec2.stop_instances(InstanceIds=[launch(name, "172.31.18.244", {"owner": "bea.lindqvist"}, "disabled")])
    by_name = {"Name": "tag:Name", "Values": ["reporting-1"]}
    gone = ec2.describe_instances(Filters=[by_name])["Reservations"][0]["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[gone])

    wizard = ec2.create_security_group(GroupName="launch-wizard-7", Description="by hand", VpcId=subnet["VpcId"])
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=wizard["GroupId"], IpPermissions=[everything])


if __name__ == "__main__":
    people()
    accounts()
    buckets()
    databases()
    machines()
