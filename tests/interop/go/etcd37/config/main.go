// Command config says what etcd 3.7.1 makes of configuration files.
//
// It prints one JSON object a line for each file of cases.go: the text of the file, and the settings that differ from the
// defaults, by their place in the file and in the notation of flags, or the error. Each file is loaded by a process of
// its own, because some mistakes end the process.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"sort"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

type outcome struct {
	YAML     string            `json:"yaml"`
	Error    string            `json:"error,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`
}

func main() {
	if len(os.Args) == 2 {
		loadOne(os.Args[1])
		return
	}
	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for _, yaml := range cases() {
		if err := encoder.Encode(load(dir, yaml)); err != nil {
			log.Fatal(err)
		}
	}
}

// load runs this program for one file.
func load(dir string, yaml string) outcome {
	path := dir + "/etcd.yaml"
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		log.Fatal(err)
	}
	var stderr bytes.Buffer
	command := exec.Command(program(), path)
	command.Dir, command.Stderr = dir, &stderr
	stdout, err := command.Output()
	result := outcome{YAML: yaml}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		result.Error = lines[len(lines)-1]
		return result
	}
	shown := stdout[bytes.LastIndexByte(stdout, '\n')+1:]
	if err := json.Unmarshal(shown, &result.Settings); err != nil {
		log.Fatal(err)
	}
	return result
}

// loadOne prints the settings of a file that differ from the defaults.
func loadOne(path string) {
	// The log of the server goes to where the file says; only the error counts.
	config, err := embed.ConfigFromFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defaults := settings(embed.NewConfig())
	different := map[string]string{}
	for key, value := range settings(config) {
		if value != defaults[key] {
			different[key] = value
		}
	}
	text, err := json.Marshal(different)
	if err != nil {
		log.Fatal(err)
	}
	io.WriteString(os.Stdout, string(text))
}

func settings(c *embed.Config) map[string]string {
	all := map[string]string{
		"listen-peer-urls":            urls(c.ListenPeerUrls),
		"listen-client-urls":          urls(c.ListenClientUrls),
		"listen-client-http-urls":     urls(c.ListenClientHttpUrls),
		"listen-metrics-urls":         urls(c.ListenMetricsUrls),
		"initial-advertise-peer-urls": urls(c.AdvertisePeerUrls),
		"advertise-client-urls":       urls(c.AdvertiseClientUrls),
		"cors":                        set(c.CORS),
		"host-whitelist":              set(c.HostWhitelist),
		"feature-gates":               c.ServerFeatureGate.String(),
	}
	tls(all, "client-transport-security.", c.ClientTLSInfo, c.ClientAutoTLS)
	tls(all, "peer-transport-security.", c.PeerTLSInfo, c.PeerAutoTLS)
	fields(all, "", reflect.ValueOf(c).Elem())
	// The text was read into URLs.
	delete(all, "listen-metrics-urls-json")
	return all
}

// fields adds the fields that have a key in the file.
func fields(all map[string]string, prefix string, value reflect.Value) {
	for i := range value.NumField() {
		key, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if key == "" || key == "-" || key == "listen-metrics-urls" || key == "grpc-additional-server-options" {
			continue
		}
		field := value.Field(i)
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		switch shown := field.Interface().(type) {
		case time.Duration:
			all[prefix+key] = shown.String()
		case []string:
			all[prefix+key] = strings.Join(shown, ",")
		default:
			if field.Kind() == reflect.Struct {
				fields(all, prefix+key+".", field)
			} else {
				all[prefix+key] = fmt.Sprint(shown)
			}
		}
	}
}

func tls(all map[string]string, prefix string, info transport.TLSInfo, auto bool) {
	all[prefix+"cert-file"] = info.CertFile
	all[prefix+"key-file"] = info.KeyFile
	all[prefix+"client-cert-file"] = info.ClientCertFile
	all[prefix+"client-key-file"] = info.ClientKeyFile
	all[prefix+"client-cert-auth"] = fmt.Sprint(info.ClientCertAuth)
	all[prefix+"trusted-ca-file"] = info.TrustedCAFile
	all[prefix+"allowed-cn"] = strings.Join(info.AllowedCNs, ",")
	all[prefix+"allowed-hostname"] = strings.Join(info.AllowedHostnames, ",")
	all[prefix+"skip-client-san-verification"] = fmt.Sprint(info.SkipClientSANVerify)
	all[prefix+"auto-tls"] = fmt.Sprint(auto)
}

func urls(list []url.URL) string {
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].String()
	}
	return strings.Join(texts, ",")
}

func set(of map[string]struct{}) string {
	texts := make([]string, 0, len(of))
	for text := range of {
		texts = append(texts, text)
	}
	sort.Strings(texts)
	return strings.Join(texts, ",")
}

// program returns the path of this program.
func program() string {
	path, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	return path
}
