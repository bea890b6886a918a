/** Scripts that strangers would send. Each ends by itself, by the interrupt, or with its thread; nobody else notices. */

/** End by the interrupt: no catch, no finally, no promise and no generator keeps them. */
export const endless: Readonly<Record<string, string>> = {
  loop: 'for (;;) {}',
  'catch around it': 'for (;;) { try { for (;;) {} } catch {} }',
  'finally that goes on': 'try { for (;;) {} } finally { for (;;) {} }',
  'finally that returns': 'try { for (;;) {} } finally { return 1 }',
  'async function': 'for (;;) { (async () => { for (;;) {} })() }',
  'async generator': 'for (;;) { (async function* () { for (;;) {} })().next() }',
  generator: 'const g = (function* () { try { for (;;) yield 1 } finally { for (;;) {} } })(); for (const x of g) {}',
  getter: 'const o = { get a() { return this.a } }; for (;;) { try { o.a } catch {} }',
  proxy: 'const p = new Proxy({}, { get: (t, k, r) => { for (;;) {} } }); p.x',
  'proxy for ever':
    'const p = new Proxy({}, { get: (t, k, r) => 1, has: () => true }); for (const i = 0; "x" in p; ) {}',
  toJSON: 'return { toJSON() { for (;;) {} } }',
  'toJSON on all': 'Object.prototype.toJSON = function () { for (;;) {} }; return {}',
  'toJSON of what is thrown': 'throw { toJSON() { for (;;) {} } }',
  'message of what is thrown':
    'const e = new Error(); Object.defineProperty(e, "message", { get() { for (;;) {} } }); throw e',
  'name of what is thrown': 'Object.defineProperty(TypeError.prototype, "name", { get() { for (;;) {} } }); null.x',
  prepareStackTrace: 'Error.prepareStackTrace = () => { for (;;) {} }; new Error("x").stack; for (;;) {}',
  'regular expression': '/^(a+)+$/.test("a".repeat(40) + "b")',
  'regular expression, caught': 'for (;;) { try { /^(a|a)*$/.test("a".repeat(40) + "b") } catch {} }',
  'regular expression of look-behind': '/(?<=(a+)+)b$/.test("a".repeat(5000)) || /(x+x+)+y/.test("x".repeat(40))',
  'array built-ins': 'Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)',
  'array built-ins of a proxy':
    'Array.prototype.fill.call(new Proxy([], { set: () => true, get: (t, k) => k === "length" ? 2 ** 53 - 1 : 0 }), 1)',
  'sort that compares for ever': '[2, 1].sort(() => { for (;;) {} })',
  'replace with a function': '"a".replace(/a/, () => { for (;;) {} })',
  reviver: 'JSON.parse("[1]", () => { for (;;) {} })',
  'Symbol.iterator': 'const [a] = { [Symbol.iterator]: () => ({ next() { for (;;) {} } }) }',
  'Symbol.toPrimitive': 'tx.get("k" + { [Symbol.toPrimitive]() { for (;;) {} } })',
  eval: 'eval("for (;;) {}")',
  Function: 'new Function("for (;;) {}")()',
  Date: 'for (;;) new Date().toString()',
  'tx in a loop': 'for (;;) try { tx.get(1) } catch {}',
  'log in a loop': 'for (;;) console.log("x")',
  jobs: 'const again = () => Promise.resolve().then(again); again(); for (;;) {}',
  class: 'class A { static { for (;;) {} } }',
  'Symbol.hasInstance': 'return new Proxy(function () {}, { getPrototypeOf() { for (;;) {} } })',
};

/** End with an error that the caller is told. */
export const greedy: Readonly<Record<string, string>> = {
  recursion: 'const f = () => f() + 1; return f()',
  'recursion of JSON': 'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a',
  'recursion of getters': 'const o = { get a() { return this.a } }; return o.a',
  'recursion of proxies': 'let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p.x',
  'recursion of a regular expression': 'return new RegExp("(".repeat(20000) + ")".repeat(20000)).test("")',
  'deep source': 'return eval("[".repeat(20000) + "]".repeat(20000))',
  'array buffer': 'return new ArrayBuffer(2 ** 30).byteLength',
  'long text': 'let s = "x"; for (;;) s += s',
  repeat: 'return "x".repeat(2 ** 30)',
  'typed arrays': 'const a = []; for (;;) a.push(new Uint8Array(1 << 20))',
  objects: 'const a = []; for (;;) a.push({ a: [1, 2, 3] })',
  map: 'const m = new Map(); for (let i = 0; ; i++) m.set(i, "x" + i)',
  closures: 'let f = () => 1; for (;;) { const g = f; f = () => g }',
  spread: 'return Math.max(...new Array(1e7))',
};

/** Have no interrupt for very long: their thread is killed. */
export const deaf: Readonly<Record<string, string>> = {
  'join of holes': 'return new Array(1e9) + ""',
  'text of a BigInt': 'return String((1n << 1000000n) / 3n).length',
};

/** Change what is global; the next run must not see it. */
export const polluting: readonly string[] = [
  'globalThis.seen = args',
  'Object.prototype.seen = 1',
  'Array.prototype.push = () => { throw 1 }',
  'JSON.parse = () => "mine"; JSON.stringify = () => "mine"',
  'Math.random = () => 4; Date.now = () => 4',
  'tx.get = () => "mine"; delete tx.set; tx.seen = 1',
  'Object.defineProperty(Object.prototype, "0", { get: () => "mine", set() {} })',
  'String.prototype.slice = String.prototype.includes = () => "mine"',
  'Promise.prototype.then = () => "mine"; globalThis.Promise = 5',
  'Reflect.apply = () => "mine"; Function.prototype.call = 5',
  'console.log = console.error = () => { throw 1 }',
  'globalThis.Error = globalThis.TypeError = class extends Array {}',
  'Error.prepareStackTrace = () => "mine"; Error.stackTraceLimit = 0',
  'Object.setPrototypeOf(Array.prototype, { seen: 1 }); Object.freeze(Object.prototype)',
  'Symbol.prototype.seen = 1; RegExp.prototype.exec = () => null',
  'Object.prototype.toJSON = () => "mine"',
  'globalThis.counted = (globalThis.counted ?? 0) + 1; topLevel.push(1); return [counted, topLevel.length]',
  'for (const key of Object.getOwnPropertyNames(globalThis)) try { delete globalThis[key] } catch {}',
];
