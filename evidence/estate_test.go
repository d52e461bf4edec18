package evidence_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// nights is a seeded estate of one origin that changes from one night to the next.
type nights struct {
	rand  *rand.Rand
	ids   []int // of the resources, ascending
	state []int // how often each has changed
	next  int
}

func newNights(resources int, seed uint64) *nights {
	n := &nights{rand: rand.New(rand.NewPCG(seed, 1)), next: resources}
	for i := range resources {
		n.ids, n.state = append(n.ids, i*10), append(n.state, 0)
	}
	return n
}

// pass changes one in every so many resources.
func (n *nights) pass(oneIn int) {
	for range max(1, len(n.ids)/oneIn) {
		n.state[n.rand.IntN(len(n.ids))]++
	}
}

// come adds a resource somewhere, and takes another away.
func (n *nights) comeAndGo() {
	i := n.rand.IntN(len(n.ids) - 1)
	n.ids, n.state = append(n.ids[:i], n.ids[i+1:]...), append(n.state[:i], n.state[i+1:]...)
	i = n.rand.IntN(len(n.ids) - 1)
	if n.ids[i+1] > n.ids[i]+1 {
		n.ids = append(n.ids[:i+1], append([]int{n.ids[i] + 1}, n.ids[i+1:]...)...)
		n.state = append(n.state[:i+1], append([]int{0}, n.state[i+1:]...)...)
	}
}

// snapshot renders the estate: about 1.3 kB a resource, as instances are.
func (n *nights) snapshot() []byte {
	var out bytes.Buffer
	for i, id := range n.ids {
		out.Write(document(id, n.state[i]))
	}
	return out.Bytes()
}

func document(id, state int) []byte {
	r := rand.New(rand.NewPCG(uint64(id), 7))
	hex := func(n int) string { return fmt.Sprintf("%0*x", n, r.Uint64()>>(64-4*min(n, 16))) }
	native := fmt.Sprintf("i-%08x%s", id, hex(9))
	vpc, subnet, image := hex(8), hex(8), hex(8)
	changed := fmt.Sprintf("2026-%02d-%02dT%02d:00:00Z", 1+state%12, 1+id%28, (id+state)%24)
	return fmt.Appendf(nil, `{"data":{"DescribeInstances":{"AmiLaunchIndex":0,"Architecture":"x86_64","BlockDeviceMappings":[{"DeviceName":"/dev/xvda",`+
		`"Ebs":{"AttachTime":"2025-0%d-1%dT09:%02d:00Z","DeleteOnTermination":true,"Status":"attached","VolumeId":"vol-0%s"}}],"ClientToken":"%s",`+
		`"EbsOptimized":%t,"EnaSupport":true,"Hypervisor":"xen","IamInstanceProfile":{"Arn":"arn:aws:iam::111122223333:instance-profile/role-%d","Id":"AIPA%s"},`+
		`"ImageId":"ami-0%s","InstanceId":"%s","InstanceType":"m7g.%dxlarge","LaunchTime":"%s","MetadataOptions":{"HttpEndpoint":"enabled",`+
		`"HttpPutResponseHopLimit":%d,"HttpTokens":"%s","State":"applied"},"Monitoring":{"State":"disabled"},"NetworkInterfaces":[{"NetworkInterfaceId":"eni-0%s",`+
		`"PrivateIpAddress":"10.%d.%d.%d","SubnetId":"subnet-0%s","VpcId":"vpc-0%s"}],"Placement":{"AvailabilityZone":"eu-west-1%c","Tenancy":"default"},`+
		`"PrivateDnsName":"ip-10-0-%d-%d.eu-west-1.compute.internal","RootDeviceName":"/dev/xvda","SecurityGroups":[{"GroupId":"sg-0%s","GroupName":"group-%d"}],`+
		`"State":{"Code":16,"Name":"running"},"SubnetId":"subnet-0%s","VpcId":"vpc-0%s"}},"gaps":{},"id":"aws/111122223333/eu-west-1/AWS::EC2::Instance/%s",`+
		`"name":"%s","origin":"aws/111122223333/eu-west-1","redacted":[],"source":"aws","tags":{"owner":"team-%d","service":"svc-%d"},"type":"AWS::EC2::Instance"}`+"\n",
		1+r.IntN(9), r.IntN(10), r.IntN(60), hex(16), hex(16), id%3 == 0, r.IntN(40), hex(16), image, native, 1<<r.IntN(4), changed,
		1+state%3, []string{"required", "optional"}[(id+state)%2], hex(16), r.IntN(4), r.IntN(256), r.IntN(256), subnet, vpc, 'a'+rune(r.IntN(3)),
		r.IntN(256), r.IntN(256), hex(16), r.IntN(90), subnet, vpc, native, "web-"+strconv.Itoa(id), r.IntN(30), r.IntN(200))
}

// segment renders verdicts: one in five resources fails one control.
func (n *nights) segment() string {
	var out strings.Builder
	for i, id := range n.ids {
		if (id+n.state[i])%5 == 0 {
			fmt.Fprintf(&out, `{"resource":"aws/111122223333/eu-west-1/AWS::EC2::Instance/i-%08x","name":"web-%d","type":"AWS::EC2::Instance","origin":"aws/111122223333/eu-west-1",`+
				`"input_digest":"%064x","decisions":[{"control":"CMP-001","outcome":"fail","violations":[{"message":"the metadata service answers version 1","observed":"optional","expected":"required","path":"/data/DescribeInstances/MetadataOptions/HttpTokens"}]}]}`+"\n",
				id, id, id*31+n.state[i])
		}
	}
	return out.String()
}
