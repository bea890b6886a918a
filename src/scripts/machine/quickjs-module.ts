/** QuickJS as WebAssembly, compiled once in each thread that runs scripts. */
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

let compiled: WebAssembly.Module | undefined;

export function quickJsModule(): WebAssembly.Module {
  return (compiled ??= new WebAssembly.Module(
    fs.readFileSync(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm'))),
  ));
}
