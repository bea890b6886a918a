/** Programs that use generated clients; each prints the value that it set, an error's code, and a counter. */

export const pythonProgram = `
import json, sys
from dragon_lock_client import Client
from dragon_lock_client.api.kv import kv_get, kv_set
from dragon_lock_client.api.counter import counter_add
from dragon_lock_client.models import Failure

client = Client(base_url=sys.argv[1])
key = "app/config ü"
done = kv_set.sync("python", key, client=client, body={"theme": "dark", "ü": True})
read = kv_get.sync("python", key, client=client)
assert read.version == done.version
missing = kv_get.sync("python", "none", client=client)
assert isinstance(missing, Failure)
counter = counter_add.sync("python", "c", client=client, add=2)
print(json.dumps({"value": read.value, "missing": missing.code, "number": counter.value}))
`;

export const goProgram = `
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"example/api"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctx := context.Background()
	client, err := api.NewClientWithResponses(os.Args[1])
	check(err)
	key := "app/config ü"
	done, err := client.KvSetWithResponse(ctx, "go", key, nil, map[string]any{"theme": "dark", "ü": true})
	check(err)
	read, err := client.KvGetWithResponse(ctx, "go", key)
	check(err)
	if read.JSON200.Version != done.JSON200.Version {
		panic("another version")
	}
	missing, err := client.KvGetWithResponse(ctx, "go", "none")
	check(err)
	add := int64(2)
	counter, err := client.CounterAddWithResponse(ctx, "go", "c", &api.CounterAddParams{Add: &add})
	check(err)
	text, err := json.Marshal(map[string]any{
		"value": read.JSON200.Value, "missing": missing.JSON404.Code, "number": counter.JSON200.Value,
	})
	check(err)
	fmt.Println(string(text))
}
`;

export const typescriptProgram = `
import createClient from 'openapi-fetch';
import type { paths } from './api.js';

declare const process: { argv: string[] };

const client = createClient<paths>({ baseUrl: process.argv[2]! });
const acc = 'typescript';
const path = { acc, name: 'app/config ü' };
const done = await client.POST('/db/{acc}/kv/{name}', { params: { path }, body: { theme: 'dark', ü: true } });
const read = await client.GET('/db/{acc}/kv/{name}', { params: { path } });
if (read.data === undefined || read.data.Version !== done.data?.Version) throw new Error('another version');
const missing = await client.GET('/db/{acc}/kv/{name}', { params: { path: { acc, name: 'none' } } });
const code: 'not_found' | undefined = missing.error?.Code === 'not_found' ? missing.error.Code : undefined;
const counter = await client.POST('/db/{acc}/counter/{name}', { params: { path: { acc, name: 'c' }, query: { add: 2 } } });
const value: unknown = read.data.Value;
console.log(JSON.stringify({ value, missing: code, number: counter.data?.Value }));
`;
