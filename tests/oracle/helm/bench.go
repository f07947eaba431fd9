package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/action"
	ci "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// bench renders a chart for many members in this process, the chart loaded once, and prints how long it took: the
// library's own steps without anything around them ("lean"), or an install without a cluster ("install"). Chart
// processing changes a chart's metadata and values, so that a second run sees what the first one left; for charts
// whose dependencies do not hang on values that is the same.
func bench(way string, members int, file string) error {
	began := time.Now()
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		return err
	}
	one := lean
	if way == "install" {
		one = install
	}
	times := make([]time.Duration, 0, members)
	size := 0
	for n := range members {
		start := time.Now()
		vals := map[string]any{"global": map[string]any{"member": fmt.Sprintf("member-%d", n)}}
		text, err := one(c, fmt.Sprintf("rel-%d", n), vals)
		if err != nil {
			return err
		}
		size += len(text)
		times = append(times, time.Since(start))
	}
	all := time.Since(began)
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	fmt.Printf("members=%d all=%.3fms p50=%.3fms p99=%.3fms bytes=%d\n",
		members, ms(all), ms(times[members/2]), ms(times[members*99/100]), size)
	return nil
}

func lean(c *chart.Chart, name string, vals map[string]any) (string, error) {
	if err := chartutil.ProcessDependencies(c, vals); err != nil {
		return "", err
	}
	caps := common.DefaultCapabilities.Copy()
	options := common.ReleaseOptions{Name: name, Namespace: "default", Revision: 1, IsInstall: true}
	top, err := util.ToRenderValues(c, vals, options, caps)
	if err != nil {
		return "", err
	}
	var e engine.Engine
	files, err := e.RenderWithContext(context.Background(), c, top)
	if err != nil {
		return "", err
	}
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range manifests {
		fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", m.Name, m.Content)
	}
	for _, h := range hooks {
		fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	return b.String(), nil
}

func install(c *chart.Chart, name string, vals map[string]any) (string, error) {
	client := action.NewInstall(action.NewConfiguration())
	client.DryRunStrategy = action.DryRunClient
	client.Replace = true
	client.ReleaseName = name
	client.Namespace = "default"
	return printed(client, ci.Charter(c), vals)
}
