/**
 * What a virtual machine evaluates before it sees a script: `tx`, `console`, `Math.random`. It keeps the built-in
 * functions that it needs, so that a script that replaces them harms only itself. All that counts is on the host's side:
 * each member of `tx` checks types, turns values into JSON text and calls `host` (script-tx.ts).
 *
 *   host(name, a, b, c)   every argument a string or undefined; returns
 *     undefined    nothing is there, or nothing to tell
 *     '!…'         a mistake of the script: thrown here as a TypeError, which the script may catch
 *     other text   JSON
 *   host does not return at all when the run ends: for a key that must be read first, by `fail`, over a limit
 *
 * To leave the machine costs more than most of what a script does, so what needs no answer waits in `noted` until
 * something does, or the run ends: writes that nothing can be wrong with, and which of the entries that came with the
 * run have been looked at. The host hears all of it in the order in which it happened (host-text.ts has the form).
 */
import { keyBytesMax } from '../../shared/limits.ts';

export const preludeName = '<tx>';

export const prelude = `(hear) => {
  'use strict';
  const { parse, stringify } = JSON;
  const { apply, getPrototypeOf, setPrototypeOf } = Reflect;
  const { isArray } = Array;
  const { isFinite, isSafeInteger } = Number;
  const { imul } = Math;
  const { then } = Promise.prototype;
  const { includes, isWellFormed, slice } = String.prototype;
  const TypeErrorOf = TypeError, PromiseOf = Promise, ErrorOf = Error, text = String;
  const unlike = [Map, Set, WeakMap, WeakSet, Promise, RegExp, ArrayBuffer, DataView, getPrototypeOf(Uint8Array), Error];
  const undefinedText = undefined;
  let entry, generated, seedOfRun, nowOfRun, entries = {}, noted = '', notes = 0;

  const host = (name, a, b = '', c = '') => {
    const heard = noted + name + '\\0' + b + '\\0' + c + '\\0' + a;
    noted = '';
    notes = 0;
    return hear(heard);
  };
  const note = (name, key, value) => {
    noted += '+' + name + '\\0' + key + '\\0' + value + '\\0';
    notes += 1;
    if (notes < 64 && noted.length < 65536) return;
    const heard = noted;
    noted = '';
    notes = 0;
    hear(heard);
  };
  // Of these names the host would say nothing.
  const isName = (key) => typeof key === 'string' && key !== '' && key.length <= ${Math.floor(keyBytesMax / 3)}
    && apply(isWellFormed, key, []) && !apply(includes, key, ['\\0']);
  // An entry is given once: a script may change what it is given.
  const known = (key) => {
    if (typeof key !== 'string') return undefined;
    const found = entries[key];
    if (found === undefined) return undefined;
    entries[key] = undefined;
    note('get', key, '');
    return found;
  };
  const areKnown = (keys) => {
    for (let i = 0; i < keys.length; i += 1)
      if (typeof keys[i] !== 'string' || entries[keys[i]] === undefined) return false;
    return true;
  };
  // Behind a write the host knows what the key holds.
  const hide = (key) => { if (entries[key] !== undefined) entries[key] = undefined; };

  const mistake = (message) => { throw new TypeErrorOf(message); };
  const call = (name, a, b, c) => {
    const answer = host(name, a, b, c);
    if (answer === undefined) return undefined;
    if (answer[0] === '!') mistake(apply(slice, answer, [1]));
    return parse(answer);
  };
  const got = (value) => value === null ? 'null' : isArray(value) ? 'an array' : typeof value === 'object' ? 'an object'
    : typeof value === 'function' ? 'a function' : text(value);
  const aText = (value, place) =>
    typeof value === 'string' ? value : mistake(place + ': expected a string, got ' + got(value));
  // JSON.stringify changes these without a word: NaN becomes null, a Map {}.
  const strictly = (place, holes) => function (key, value) {
    const at = () => place + (key === '' ? '' : ', at ' + key);
    if (typeof value === 'number' && !isFinite(value)) mistake(at() + ': ' + value + ' has no JSON');
    if (!holes && isArray(this) && (value === undefined || typeof value === 'function' || typeof value === 'symbol'))
      mistake(at() + ': ' + typeof value + ' has no JSON');
    if (typeof value === 'object' && value !== null)
      for (let i = 0; i < unlike.length; i += 1)
        if (value instanceof unlike[i]) mistake(at() + ': an object of this class has no JSON');
    return value;
  };
  const json = (value, place, holes = false) => {
    const written = stringify(value);
    if (written === undefined) return mistake(place + ': expected JSON, got ' + got(value));
    if (apply(includes, written, ['null']) || apply(includes, written, ['{}'])) stringify(value, strictly(place, holes));
    return written;
  };
  const optional = (options, place) => {
    if (options === undefined) return undefined;
    if (typeof options !== 'object' || options === null || isArray(options))
      mistake(place + ': expected an object, got ' + got(options));
    return json(options, place);
  };
  const number = (value, place) =>
    typeof value === 'number' ? text(value) : mistake(place + ': expected a number, got ' + got(value));

  // sfc32: 128 bits of state, of which the run gives its seed and its time.
  const generator = (seed, now) => {
    let a = seed | 0, b = (now / 4294967296) | 0, c = (now % 4294967296) | 0, d = 1;
    const next = () => {
      const sum = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + sum | 0;
      return sum >>> 0;
    };
    for (let i = 0; i < 15; i += 1) next();
    return next;
  };
  // Few runs want chance, and to mix its state takes a tenth of a short one.
  const random = () => (generated ??= generator(seedOfRun, nowOfRun))();
  const hex = (value, digits) => {
    let written = '';
    for (let i = digits - 1; i >= 0; i -= 1) written += '0123456789abcdef'[(value >>> (i * 4)) & 15];
    return written;
  };
  Object.defineProperty(Math, 'random', {
    value: function random_() { return (random() * 2097152 + (random() >>> 11)) / 9007199254740992; },
    writable: true, enumerable: false, configurable: true,
  });
  Object.defineProperty(Math.random, 'name', { value: 'random' });

  const shown = (value) => {
    if (typeof value === 'string') return value;
    try {
      if (value instanceof ErrorOf) return value.name + ': ' + value.message;
      return stringify(value) ?? text(value);
    } catch { return 'a value that cannot be shown'; }
  };
  const log = (...values) => {
    let line = '';
    for (let i = 0; i < values.length; i += 1) line += (i === 0 ? '' : ' ') + shown(values[i]);
    host('log', line);
  };
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };

  const write = (name, key, value, options) => {
    hide(key);
    // Of a deletion the value is its options.
    if (options === undefined && (name !== 'delete' || value === undefined) && isName(key)) note(name, key, value ?? '');
    else call(name, key, value, options);
  };

  const tx = {
    now: 0,
    get: (key) => {
      const found = known(key);
      return found === undefined ? call('get', aText(key, 'tx.get: key')) : found[0];
    },
    entry: (key) => {
      const found = known(key);
      if (found === undefined) return call('entry', aText(key, 'tx.entry: key'));
      return found.length === 0 ? undefined : { value: found[0], version: found[1] };
    },
    getAll: (keys) => {
      if (!isArray(keys)) mistake('tx.getAll: keys: expected an array, got ' + got(keys));
      if (areKnown(keys)) {
        const values = [];
        for (let i = 0; i < keys.length; i += 1) {
          const found = known(keys[i]);
          values[i] = found === undefined ? call('get', keys[i]) : found[0];
        }
        return values;
      }
      const values = call('getAll', json(keys, 'tx.getAll: keys'));
      for (let i = 0; i < values.length; i += 1) values[i] = values[i][0];
      return values;
    },
    counter: (key) => call('counter', aText(key, 'tx.counter: key')),
    list: (prefix, options) => call('list', aText(prefix, 'tx.list: prefix'), optional(options, 'tx.list: options')),
    set: (key, value, options) => {
      write('set', aText(key, 'tx.set: key'), json(value, 'tx.set: value'), optional(options, 'tx.set: options'));
    },
    delete: (key, options) => {
      write('delete', aText(key, 'tx.delete: key'), optional(options, 'tx.delete: options'));
    },
    merge: (key, patch, options) => {
      write('merge', aText(key, 'tx.merge: key'), json(patch, 'tx.merge: patch'), optional(options, 'tx.merge: options'));
    },
    add: (counter, n, options) => {
      if (options === undefined && isSafeInteger(n) && isName(counter)) return note('add', counter, text(n));
      call('add', aText(counter, 'tx.add: counter'), number(n, 'tx.add: n'), optional(options, 'tx.add: options'));
    },
    enqueue: (queue, data, options) => {
      if (options === undefined && isName(queue)) return note('enqueue', queue, json(data, 'tx.enqueue: data'));
      call('enqueue', aText(queue, 'tx.enqueue: queue'), json(data, 'tx.enqueue: data'),
        optional(options, 'tx.enqueue: options'));
    },
    ack: (queue, id, lock, options) => {
      call('ack', aText(queue, 'tx.ack: queue'), json([id, lock ?? null], 'tx.ack'), optional(options, 'tx.ack: options'));
    },
    nack: (queue, id, lock, options) => {
      call('nack', aText(queue, 'tx.nack: queue'), json([id, lock ?? null], 'tx.nack'), optional(options, 'tx.nack: options'));
    },
    task: (id, options) => {
      call('task', aText(id, 'tx.task: id'), optional(options, 'tx.task: options'));
    },
    cancelTask: (id, options) => {
      call('cancelTask', aText(id, 'tx.cancelTask: id'), optional(options, 'tx.cancelTask: options'));
    },
    limit: (key, options) => {
      call('limit', aText(key, 'tx.limit: key'), optional(options, 'tx.limit: options'));
    },
    guard: (lock, handle) => {
      call('guard', aText(lock, 'tx.guard: lock'), number(handle, 'tx.guard: handle'));
    },
    fail: (reason, details) => {
      call('fail', aText(reason, 'tx.fail: reason'),
        details === undefined ? undefinedText : json(details, 'tx.fail: details'));
    },
    uuid: () => {
      const a = random(), b = random(), c = random(), d = random();
      return hex(a, 8) + '-' + hex(b >>> 16, 4) + '-4' + hex(b, 3) + '-' + hex(8 | ((c >>> 28) & 3), 1) + hex(c >>> 16, 3)
        + '-' + hex(c, 4) + hex(d, 8);
    },
  };

  // These may hold any character.
  const tell = (name, message, stack) => {
    host('fault', name.length + ' ' + message.length + ' ' + name + message + stack);
  };
  /** Tells the host what was thrown. Reading it may run code of the script, which may throw, too. */
  const fault = (thrown) => {
    let name = 'Error', message = '', stack = '';
    try {
      if (thrown instanceof ErrorOf) {
        const given = [thrown.name, thrown.message, thrown.stack];
        if (typeof given[0] === 'string') name = given[0];
        if (typeof given[1] === 'string') message = given[1];
        if (typeof given[2] === 'string') stack = given[2];
      } else message = 'The script threw ' + shown(thrown);
    } catch { message = 'The script threw what cannot be shown'; }
    tell(name, message, stack);
  };

  /** Takes the promise of a module. */
  const take = (module) => {
    apply(then, module, [
      (names) => {
        entry = names.default;
        if (typeof entry === 'function') host('loaded', '');
        else tell('TypeError', 'The default export is ' + got(entry) + '; expected a function (tx, args)', '');
      },
      fault,
    ]);
  };

  const start = (seed, now) => {
    generated = undefined;
    seedOfRun = seed;
    tx.now = nowOfRun = now;
  };

  const run = (given) => {
    const all = parse(given);
    start(all[0], all[1]);
    entries = all[2];
    setPrototypeOf(entries, null);
    try {
      const result = entry(tx, all[3]);
      if (result instanceof PromiseOf)
        return void tell('TypeError', 'The script returned a promise; expected a value: nothing in it can wait', '');
      // What getAll has not found is null in a result, as it is when it stands alone.
      const written = result === undefined ? 'null' : json(result, 'The result', true);
      return noted + '=' + written;
    } catch (thrown) {
      fault(thrown);
    }
  };

  return { take, start, run };
}`;
