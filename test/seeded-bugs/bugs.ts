/**
 * Deliberate faults, each as one change of one source file, and the test that must catch it. They show that the tests
 * can fail: a fault that no test sees is a hole in the tests. Production code has no switch for them; run.ts applies one
 * at a time to a copy of the tree.
 *
 * `find` must occur exactly once: when the code moves, the fault moves with it.
 */
export interface SeededBug {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly caughtBy: {
    readonly file: string;
    /** A part of the test's name. */
    readonly test: string;
  };
}

const core = 'src/shard-worker/core';
const tests = 'test/shard-worker';
const histories = {
  file: 'test/crash/histories.test.ts',
  test: 'both checkers and the watch validators find nothing wrong',
};
const stores = 'test/client/store';
const loadFaults = 'test/load-faults';
const backups = 'test/backup';
const pipelines = 'test/front-end/http/sockets/pipelines.test.ts';

const lane = 'src/front-end/http/lane';
const fuzzedLane = {
  file: 'test/front-end/http/lane/request-reader.test.ts',
  test: 'lane: what it takes, and what it leaves, is what Node’s parser reads',
};

export const seededBugs: readonly SeededBug[] = [
  // Durability: I1, I2, I3, I5, I11, I12, I16.
  {
    name: 'a frame is not synced',
    file: 'src/journal/file/journal-writer.ts',
    find: '    this.#file.datasync();\n',
    replace: '',
    caughtBy: { file: 'test/journal/file/crash.test.ts', test: 'at every disk call of a life' },
  },
  {
    name: 'what is durable is told before the sync',
    file: 'src/journal/file/journal-writer.ts',
    find: "    failpoint('journal.before-write');\n",
    replace: "    this.#revisions.setDurable(last);\n    failpoint('journal.before-write');\n",
    caughtBy: {
      file: 'test/journal/file/journal-writer.test.ts',
      test: 'nothing is durable before its sync has returned',
    },
  },
  {
    name: 'writers are answered before the sync',
    file: 'src/journal/file/journal-writer.ts',
    find: "    failpoint('journal.written');\n",
    replace: "    for (const listener of this.#listeners) listener(last);\n    failpoint('journal.written');\n",
    caughtBy: { file: 'test/journal/file/crash.test.ts', test: 'at every disk call of a life' },
  },
  {
    name: 'replies leave before the sync',
    file: 'src/router/reply-gate.ts',
    find: 'if (rev <= this.#durable) release();',
    replace: 'if (rev >= 0) release();',
    caughtBy: { file: 'test/router/reply-gate.test.ts', test: 'neither replies, refusals' },
  },
  {
    name: 'a read claims less than it has seen',
    file: `${core}/state/state.ts`,
    find: '  return durable > state.lastRev ? durable : state.lastRev;',
    replace: '  return durable;',
    caughtBy: { file: `${tests}/core/keys.test.ts`, test: 'reads at a revision that covers all that is durable' },
  },
  {
    name: 'the journal goes on after a storage error',
    file: 'src/journal/file/journal-writer.ts',
    find: '    this.#dead = true;\n',
    replace: '',
    caughtBy: { file: 'test/journal/file/journal-writer.test.ts', test: 'poisons the writer' },
  },
  {
    name: 'the directory is not synced after a rename',
    file: 'src/journal/file/segment.ts',
    find: "  disk.syncDirectory(directory);\n  failpoint('journal.segment-renamed');",
    replace: "  failpoint('journal.segment-renamed');",
    caughtBy: { file: 'test/journal/file/crash.test.ts', test: 'at every disk call of a life' },
  },
  {
    name: 'segments go that one shard still needs',
    file: 'src/journal/file/journal-writer.ts',
    find: 'Math.min(...this.#watermarks, this',
    replace: 'Math.min(Math.max(...this.#watermarks), this',
    caughtBy: {
      file: 'test/journal/file/journal-writer.test.ts',
      test: 'segments go when every shard has passed them',
    },
  },
  {
    name: 'a hole in the log is accepted',
    file: 'src/journal/file/log-walk.ts',
    find: 'if (before !== undefined && gap !== undefined) {',
    replace: 'if (before !== undefined && gap === "") {',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'a missing segment is refused' },
  },
  {
    name: 'a valid frame after a bad one is overlooked',
    file: 'src/journal/file/segment-window.ts',
    find: "if (typeof frame !== 'string' && frame.last > last) return { offset: place, frame };",
    replace: '',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'a zeroed hole is refused' },
  },
  {
    name: 'the checksum is not compared',
    file: 'src/journal/file/frame.ts',
    find: "  if (crc32(buffer.subarray(offset + crcStart, offset + length)) !== crc) return 'checksum';\n",
    replace: '',
    caughtBy: { file: 'test/journal/file/frame.test.ts', test: 'a change of any single bit is found' },
  },
  {
    name: 'the chain is not compared',
    file: 'src/journal/file/frame.ts',
    find: "  if (frame.previous !== chain) return 'chain';\n",
    replace: '',
    caughtBy: { file: 'test/journal/file/frame.test.ts', test: 'is out of the chain' },
  },
  {
    name: "a frame's time may fall",
    file: 'src/journal/file/journal-writer.ts',
    find: 'this.#at = Math.max(this.#options.clock.now(), this.#at);',
    replace: 'this.#at = this.#options.clock.now();',
    caughtBy: { file: 'test/journal/file/journal-writer.test.ts', test: 'which never falls, over restarts too' },
  },
  {
    name: 'version 1 headers are read as version 2',
    file: 'src/journal/file/frame.ts',
    find: 'return version === 1 ? 48 : frameHeaderBytes;',
    replace: 'return version < 1 ? 48 : frameHeaderBytes;',
    caughtBy: { file: 'test/journal/file/version-1.test.ts', test: 'every record is read, and its time is unknown' },
  },
  {
    name: 'the rest of a torn frame stays after the end',
    file: 'src/journal/file/recovery.ts',
    find: 'copyBytes(source, copy, bytes);',
    replace: 'copyBytes(source, copy, source.size());',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'stale bytes after the end are ignored and gone' },
  },
  {
    name: 'a torn frame is taken for valid',
    file: 'src/journal/file/segment-window.ts',
    find: '    return decodeFrame(this.buffer, this.at, this.#context);',
    replace:
      "    const found = decodeFrame(this.buffer, this.at, this.#context);\n    if (found !== 'checksum') return found;\n" +
      '    const b = this.buffer.subarray(this.at);\n    const [first, last] = [b.readUIntLE(24, 6), b.readUIntLE(30, 6)];\n' +
      '    const count = b.readUInt32LE(42);\n    const [crc, previous] = [b.readUInt32LE(4), b.readUInt32LE(12)];\n' +
      '    const { headerBytes } = this;\n' +
      '    const header = { ...this.#context, headerBytes, length, crc, previous, at: 0 };\n' +
      '    return { ...header, first, last, durable: first - 1, count } as unknown as Frame;',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'torn at any byte is dropped' },
  },
  {
    name: 'a last frame that was damaged is dropped in silence',
    file: 'src/journal/file/log-walk.ts',
    find: 'return wasWrittenWhole(window, end.position) ? ',
    replace: 'return window.size < 0 ? ',
    caughtBy: {
      file: 'test/journal/file/recovery.test.ts',
      test: 'was written whole and has changed since is refused',
    },
  },
  {
    name: 'a segment that was cut short passes for a whole one',
    file: 'src/journal/file/log-walk.ts',
    find: 'window.size < header.bytes',
    replace: 'window.size < 0',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'shorter than it was made is refused' },
  },
  {
    name: 'the end of the log is served without being written again',
    file: 'src/journal/file/recovery.ts',
    find: 'if (names.length > 0) await renewTail(',
    replace: 'if (names.length < 0) await renewTail(',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'what only the page cache held after a failed sync' },
  },
  {
    name: 'revisions that a salvage lost come again',
    file: 'src/journal/file/leap.ts',
    find: 'revision(seen.revision + revisionJump)',
    replace: 'revision(seen.revision + 1)',
    caughtBy: { file: 'test/journal/file/salvage.test.ts', test: 'revisions that were lost never come again' },
  },
  {
    name: 'the boot number does not jump at a salvage',
    file: 'src/journal/file/leap.ts',
    find: 'epoch: nextEpoch(seen.epoch) + epochJump,',
    replace: 'epoch: seen.epoch,',
    caughtBy: { file: 'test/journal/file/salvage.test.ts', test: 'everything that must never come again' },
  },
  {
    name: 'a salvage ignores the watermarks',
    file: 'src/journal/file/salvage.ts',
    find: 'heads.map(foreign), lowest);',
    replace: 'heads.map(foreign), revision(lowest && 0));',
    caughtBy: { file: 'test/journal/file/salvage.test.ts', test: 'damage below all watermarks costs nothing' },
  },
  {
    name: 'readers pass over what a salvage lost',
    file: 'src/journal/file/journal-reader.ts',
    find: "return this.#passed > passed ? { kind: 'compacted', oldest: next.first } : undefined;",
    replace: 'return undefined;',
    caughtBy: { file: 'test/journal/file/salvage.test.ts', test: 'readers must not cross it' },
  },
  {
    name: 'damage that a reader comes to ends the process',
    file: 'src/journal/file/journal-reader.ts',
    find: '    const { segment, offset, first, reason } = place;\n',
    replace:
      '    const { segment, offset, first, reason } = place;\n    throw new JournalCorruption(segment.name, offset, reason);\n',
    caughtBy: {
      file: 'test/journal/file/journal-reader.test.ts',
      test: 'damage ends it with what can be read after it',
    },
  },
  {
    name: 'damage in what a replay needs is passed over',
    file: 'src/journal/file/log-walk.ts',
    find: 'if (later === undefined || later.frame.first > from + 1) {',
    replace: 'if (later === undefined) {',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'a frame below all watermarks may be damaged' },
  },
  {
    name: 'a journal that is gone begins anew, with revisions that were shown',
    file: 'src/journal/file/recovery.ts',
    find: '  if (options.from > last) {\n',
    replace: '  if (options.from < 0) {\n',
    caughtBy: { file: 'test/journal/file/recovery.test.ts', test: 'a journal that is gone' },
  },
  {
    name: 'half of a batch is applied at replay',
    file: 'src/shard-worker/open-shard.ts',
    find: 'applyRecord({ entries: store, owns }, decodeRecord(buffer, at));',
    replace:
      'const record = decodeRecord(buffer, at);\n' +
      '    applyRecord({ entries: store, owns }, { ...record, effects: record.effects.slice(0, 1) });',
    caughtBy: { file: `${tests}/replay.test.ts`, test: 'a crash in the middle of anything loses nothing' },
  },
  {
    name: 'a shard owns what others own at replay',
    file: 'src/shard-worker/open-shard.ts',
    find: 'ownerOf(account, key, shards) === shard;',
    replace: 'ownerOf(account, key, shards) >= shard;',
    caughtBy: { file: `${tests}/replay.test.ts`, test: 'digest(checkpoint + replay) = digest(state before the crash)' },
  },
  {
    name: 'a record reads its account from beyond its end',
    file: 'src/protocol/record.ts',
    find: "  assert(at <= end, 'an account fits into its record');\n",
    replace: '',
    caughtBy: { file: 'test/protocol/record.test.ts', test: 'an account that is longer than its record' },
  },

  // Checkpoints: I5.
  {
    name: 'the watermark passes a batch that is not applied yet',
    file: 'src/shard-worker/checkpoint-schedule.ts',
    find: 'state.holds.oldest() ?? state.revisions.current()',
    replace: 'state.revisions.current()',
    caughtBy: { file: `${tests}/checkpoints.test.ts`, test: 'no more than when the oldest hold was placed' },
  },
  {
    name: 'a checkpoint is written before the journal has what it holds',
    file: 'src/shard-worker/checkpoint-schedule.ts',
    find: '      if (revisions.durable() < upTo) await new Promise<void>((resolve) => journal.whenDurable(upTo, resolve));\n',
    replace: '',
    caughtBy: { file: `${tests}/checkpoints.test.ts`, test: 'not written before the journal has everything' },
  },
  {
    name: 'the frozen memtable goes before the checkpoint is committed',
    file: 'src/storage/checkpoint/checkpointer.ts',
    find: '      await writer.commit(covered);\n',
    replace: '      await Promise.race([writer.commit(covered), yieldTurn()]);\n',
    caughtBy: { file: 'test/storage/checkpoint/checkpoint.test.ts', test: 'stays readable until its commit has ended' },
  },
  {
    name: 'a deadline stays when its key is written again',
    file: 'src/storage/deadline-index.ts',
    find: '    if (from !== 0) this.#floor.removed(active.deadlines.remove(from, at, belowTill));\n',
    replace: '',
    caughtBy: {
      file: 'test/storage/shard-store-model.test.ts',
      test: 'over a checkpoint in memory it behaves like a map',
    },
  },
  {
    name: 'a deadline that has moved to later fires early',
    file: 'src/storage/deadline-index.ts',
    find: '      if (entry.till > tillOf(deadline)) break;\n',
    replace: '',
    caughtBy: { file: 'test/storage/shard-store.test.ts', test: 'one call files only so many that have moved' },
  },
  {
    name: 'a deadline that has moved to later is not filed when it comes',
    file: 'src/storage/deadline-index.ts',
    find: '    for (const slot of moved) this.#fileUnderTill(slot);\n',
    replace: '',
    caughtBy: { file: 'test/storage/shard-store.test.ts', test: 'an entry whose till has moved to later ends then' },
  },
  {
    name: 'a hot key is found by its hash alone',
    file: 'src/storage/memtable/hot-keys.ts',
    find: 'if (rows[at] === hash && place !== gone && this.#isAt(place, kind, account, key)) return place;',
    replace: 'if ((rows[at]! ^ hash) << 22 === 0 && place !== gone) return place;',
    caughtBy: {
      file: 'test/storage/memtable/hot-keys.test.ts',
      test: 'each of many is found, and nothing that is not',
    },
  },
  {
    name: 'a lock is read from the kept record of another revision',
    file: `${core}/state/parsed-locks.ts`,
    find: 'if (parsed?.rev === entry.rev && ',
    replace: 'if (parsed !== undefined && ',
    caughtBy: { file: `${tests}/core/parsed-locks.test.ts`, test: 'is not taken for it' },
  },
  {
    name: 'a grant that stood in line is answered twice',
    file: 'src/router/router.ts',
    find: '    else this.#answer(id, reply);\n',
    replace: '    this.#answer(id, reply);\n',
    caughtBy: { file: 'test/router/late-hang-up-sockets.test.ts', test: 'even without a poll in between' },
  },
  {
    name: 'the shard says of nobody that it stood in line',
    file: `${core}/serve-queues.ts`,
    find: 'executeBatch(turn, head.ref, head.work, true);',
    replace: 'executeBatch(turn, head.ref, head.work);',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'say whether their request stood in line' },
  },
  {
    name: 'a write that waits for a checkpoint waits for ever',
    file: 'src/shard-worker/held-writes.ts',
    find: 'batch !== undefined && this.#now - since < this.#waitMs && ',
    replace: 'batch !== undefined && since <= this.#now && ',
    caughtBy: { file: `${tests}/held-writes.test.ts`, test: 'is answered overloaded, and nothing of it is done' },
  },
  {
    name: 'a write that has waited for too long is done all the same',
    file: 'src/shard-worker/shard-actor.ts',
    find: "    if (this.#held.isLate(letter)) turn.state.outOfSpace ??= reserveOnly('overloaded');\n",
    replace: '',
    caughtBy: { file: `${tests}/held-writes.test.ts`, test: 'is answered overloaded, and nothing of it is done' },
  },
  {
    name: 'a message overtakes a write of its account that waits',
    file: 'src/shared/fair-queue.ts',
    find: '        this.#waiting.push(lane);\n',
    replace:
      '        this.#waiting.push(lane);\n        if (lane.items.length > lane.at + 1) return lane.items.pop();\n',
    caughtBy: { file: `${tests}/held-writes.test.ts`, test: 'large writes wait, and nobody else does' },
  },
  {
    name: 'a slot of the checkpoint outlives its deletion above',
    file: 'src/storage/shard-store.ts',
    find: '    const entry = frozen.entry(slot);\n',
    replace: '    const entry = frozen.entry(slot) ?? this.#checkpoint.get(at);\n',
    caughtBy: {
      file: 'test/storage/shard-store-model.test.ts',
      test: 'over a checkpoint in memory it behaves like a map',
    },
  },
  {
    name: 'a replaced entry is counted twice',
    file: 'src/storage/shard-store.ts',
    find: '(old === noEntry ? 0 : 1);',
    replace: '(old === noEntry || entry !== undefined ? 0 : 1);',
    caughtBy: {
      file: 'test/storage/shard-store-model.test.ts',
      test: 'over a checkpoint in memory it behaves like a map',
    },
  },
  {
    name: 'counts are of now, not of the checkpoint',
    file: 'src/storage/counts.ts',
    find: 'const isNewer = counter.changedAfter === this.#freezes;',
    replace: 'const isNewer = counter.changedAfter === -2;',
    caughtBy: {
      file: 'test/storage/shard-store-model.test.ts',
      test: 'over a checkpoint in memory it behaves like a map',
    },
  },
  {
    name: 'the memory of a key that the tree still needs is used again',
    file: 'src/storage/memtable/key-tree.ts',
    find: 'if ((this.#keyWord(at) & isSeparator) === 0) ',
    replace: '',
    caughtBy: { file: 'test/storage/memtable/key-tree.test.ts', test: 'as a sorted list would' },
  },

  // Everything or nothing, versions, keys: I2, I4, I6, I7, I13.
  {
    name: 'a KVSet is applied although a Check failed',
    file: `${core}/operations/kv.ts`,
    find: '    if (version !== undefined) expectVersion(evaluation, key, version);\n    if (exists',
    replace: '    if (version === -1) expectVersion(evaluation, key, version);\n    if (exists',
    caughtBy: { file: `${tests}/core/all-or-nothing.test.ts`, test: 'every condition that fails is listed' },
  },
  {
    name: 'an Exists check passes always',
    file: `${core}/operations/kv.ts`,
    find: '  if (expected === version > 0) return;\n',
    replace: '  if (version >= 0) return;\n',
    caughtBy: { file: `${tests}/core/keys.test.ts`, test: 'holds for what is there or not' },
  },
  {
    name: 'Version 0 overwrites',
    file: `${core}/operations/kv.ts`,
    find: '  if (version === expected) return;\n',
    replace: '  if (version === expected || expected === 0) return;\n',
    caughtBy: { file: `${tests}/core/keys.test.ts`, test: '0 is create only' },
  },
  {
    name: 'a failed batch consumes a sequence number',
    file: `${core}/batch/batch.ts`,
    find: '  if (refusal !== undefined) return out.reply(ref, refusal);\n',
    replace:
      '  if (refusal !== undefined) {\n' +
      '    const used = evaluation.pending.filter(({ kind }) => kind === 0x73);\n' +
      '    const rev = used.length === 0 ? undefined : out.nextRevision();\n' +
      "    if (rev !== undefined) commit(turn, { rev, account: batch.account, effects: seal(used, rev, '') });\n" +
      '    return out.reply(ref, refusal);\n' +
      '  }\n',
    caughtBy: { file: `${tests}/core/counters.test.ts`, test: 'a failed batch consumes nothing' },
  },
  {
    name: 'a key is readable after its time',
    file: `${core}/operations/batch-evaluation.ts`,
    find: 'return entry !== undefined && hasLapsed(entry, this.now) ? undefined : entry;',
    replace: 'return entry;',
    caughtBy: { file: `${tests}/core/keys.test.ts`, test: 'never readable after its instant' },
  },
  {
    name: 'a key that had expired is written as deleted',
    file: `${core}/operations/kv.ts`,
    find: '...(lapsed ? { expired: true } : {})',
    replace: '',
    caughtBy: { file: `${tests}/core/keys.test.ts`, test: 'has expired, for its watchers too' },
  },
  {
    name: 'a counter wraps instead of overflowing',
    file: `${core}/operations/counter.ts`,
    find: '    if (!Number.isSafeInteger(value)) {\n',
    replace: '    if (Number.isNaN(value)) {\n',
    caughtBy: { file: `${tests}/core/counters.test.ts`, test: 'beyond is overflow and changes nothing' },
  },
  {
    name: 'an operation that Redis would refuse undoes those before it',
    file: `${core}/operations/string-op.ts`,
    find: "  if (typeof added === 'string') return errorOf(added);\n  return put(evaluation, key, { value: added.json, till: current?.till ?? 0 }) ?? `:${added.sum}`;\n",
    replace:
      "  if (typeof added === 'string') evaluation.fail(failure('overflow', added));\n  if (typeof added === 'string') return errorOf(added);\n  return put(evaluation, key, { value: added.json, till: current?.till ?? 0 }) ?? `:${added.sum}`;\n",
    caughtBy: { file: `${tests}/core/string-ops.test.ts`, test: 'undoes none of the others' },
  },
  {
    name: 'operations of one batch do not see each other',
    file: `${core}/operations/string-op.ts`,
    find: '  if (pending === undefined) return evaluation.entry(kinds.kv, key);\n',
    replace: "  if (pending === undefined || key !== '') return evaluation.entry(kinds.kv, key);\n",
    caughtBy: { file: `${tests}/core/string-ops.test.ts`, test: 'operations see what those before them did' },
  },
  {
    name: 'a number loses its time to live when it is added to',
    file: `${core}/operations/string-op.ts`,
    find: 'return put(evaluation, key, { value: added.json, till: current?.till ?? 0 }) ?? `:${added.sum}`;',
    replace: 'return put(evaluation, key, { value: added.json, till: 0 }) ?? `:${added.sum}`;',
    caughtBy: { file: `${tests}/core/string-ops.test.ts`, test: 'any operations on any values' },
  },
  {
    name: 'a batch may take values apart without end',
    file: `${core}/operations/string-op.ts`,
    find: '  if (evaluation.opsBytes <= opsBytesMax) return true;\n',
    replace: '  if (evaluation.opsBytes >= 0) return true;\n',
    caughtBy: { file: `${tests}/core/string-ops.test.ts`, test: 'takes apart and puts together too much' },
  },
  {
    name: 'a value is compared as JSON and not as what it is',
    file: `${core}/operations/string-op.ts`,
    find: 'return a === b || (spend(evaluation, a, b) && bytesOfJson(a).equals(bytesOfJson(b)));',
    replace: 'return a === b;',
    caughtBy: { file: `${tests}/core/string-ops.test.ts`, test: '5 and "5" are equal' },
  },
  {
    name: 'a condition of a Redis client is lost on its way to the shard',
    file: 'src/protocol/wire/ops-wire.ts',
    find: '  if (condition === undefined && till === undefined && old === undefined) {',
    replace: '  if (till === undefined && old === undefined) {',
    caughtBy: { file: 'test/protocol/wire/shard-wire.test.ts', test: 'every operation arrives as it was sent' },
  },
  {
    name: 'what a script comes to is written whatever has changed meanwhile',
    file: 'src/front-end/resp/scripts/scripts.ts',
    find: '      const check = read.map(({ key, version }) => ({ key, version }));',
    replace: '      const check = read.slice(read.length).map(({ key, version }) => ({ key, version }));',
    caughtBy: { file: 'test/server/resp-scripts.test.ts', test: 'scripts over many connections lose nothing' },
  },
  {
    name: 'a script that catches errors goes on for ever',
    file: 'src/front-end/resp/scripts/lua-machine.ts',
    find: '    for (const hooked of [run.stack.state, state]) this.#lua._lua_sethook(hooked, this.#hook, countMask, 1);\n',
    replace: '',
    caughtBy: { file: 'test/server/resp-scripts.test.ts', test: 'a script that takes too much is ended' },
  },
  {
    name: 'an account finds the scripts of another',
    file: 'src/front-end/resp/scripts/script-cache.ts',
    find: '    const loaded = this.#accounts.get(account);\n    const source',
    replace: '    const loaded = this.#accounts.values().next().value;\n    const source',
    caughtBy: { file: 'test/server/resp-scripts.test.ts', test: 'EVALSHA finds a script over any connection' },
  },
  {
    name: 'a lock is released whose token is another',
    file: 'src/front-end/resp/scripts/known-scripts.ts',
    find: "    return plan([{ kind: 'delete', key, condition: { kind: 'eq', value } }], write);",
    replace: "    return plan([{ kind: 'delete', key, condition: { kind: 'ne', value } }], write);",
    caughtBy: {
      file: 'test/front-end/resp/scripts/known-scripts.test.ts',
      test: 'without Lua as with it, whatever stands under the keys',
    },
  },
  {
    name: 'a floor is not looked at',
    file: `${core}/operations/counter.ts`,
    find: '  if (floor !== undefined && n < 0 && value < floor)',
    replace: '  if (floor === undefined && n < 0 && value < 0)',
    caughtBy: { file: `${tests}/core/counters.test.ts`, test: 'would pass its floor or ceil changes nothing' },
  },
  {
    name: 'a limit takes more at once than its burst',
    file: `${core}/operations/limit.ts`,
    find: 'before.taken + costMicros - burstMicros, before.taken)',
    replace: 'before.taken - burstMicros, before.taken)',
    caughtBy: { file: `${tests}/core/limits.test.ts`, test: 'takes its burst at once, then refuses' },
  },
  {
    name: 'what comes back of a limit is rounded up',
    file: `${core}/operations/limit.ts`,
    find: '  return -dividedDown(-amount,',
    replace: '  return dividedDown(amount,',
    caughtBy: { file: `${tests}/core/limits.test.ts`, test: 'I32: in no window' },
  },
  {
    name: 'a limit does not see what its own batch has taken',
    file: `${core}/operations/limit.ts`,
    find: '  if (pending !== undefined) return',
    replace: '  if (pending === null) return',
    caughtBy: { file: `${tests}/core/limits.test.ts`, test: 'all of a batch or nothing' },
  },
  {
    name: 'a slot of a limit comes back before it begins',
    file: `${core}/operations/limit.ts`,
    find: 'Math.max(before.taken, heldMs * microsPerMs) + costMicros',
    replace: 'before.taken + costMicros',
    caughtBy: { file: `${tests}/core/limits.test.ts`, test: 'I32: in no window' },
  },
  {
    name: 'a reply is not held for its slot',
    file: 'src/router/router.ts',
    find: '    if (reply.heldMs !== undefined) return this.#hold(id, reply, reply.heldMs);\n',
    replace: '',
    caughtBy: { file: 'test/router/held-replies.test.ts', test: 'held until its slot begins' },
  },
  {
    name: 'a held reply outlives its client',
    file: 'src/router/router.ts',
    find: '    if (letGo !== undefined) return letGo();\n    this.#send(',
    replace: '    this.#send(',
    caughtBy: { file: 'test/router/held-replies.test.ts', test: 'a client that has gone is forgotten at once' },
  },
  {
    name: 'values are compared as text',
    file: `${core}/operations/json-values.ts`,
    find: '  return a === b || (a.length === b.length && isEqual(JSON.parse(a), JSON.parse(b)));',
    replace: '  return a === b;',
    caughtBy: { file: `${tests}/core/values.test.ts`, test: 'the order of members makes no difference' },
  },
  {
    name: 'each addition moves the end of its counter',
    file: `${core}/operations/counter.ts`,
    find: '    const till = before !== undefined ? before.till : ttlMs',
    replace: '    const till = before !== undefined && ttlMs === undefined ? before.till : ttlMs',
    caughtBy: { file: `${tests}/core/values.test.ts`, test: 'the TTL of a counter counts when the counter is made' },
  },
  {
    name: 'a merge loses the end of its key',
    file: `${core}/operations/kv.ts`,
    find: '(before?.value === undefined ? 0 : before.till)',
    replace: '0',
    caughtBy: { file: `${tests}/core/values.test.ts`, test: 'keeps the end of the key' },
  },
  {
    name: 'a shard deletes more of a prefix than its page',
    file: `${core}/transaction.ts`,
    find: 'seal(upToKey(hold.pending, last), rev, stored)',
    replace: 'seal(hold.pending, rev, stored)',
    caughtBy: {
      file: 'test/router/transaction/clears-over-shards.test.ts',
      test: 'a page is one commit of exactly its keys',
    },
  },
  {
    name: 'a page of a deletion does not hold its prefix',
    file: 'src/protocol/footprint.ts',
    find: 'return prefix === undefined ? { names }',
    replace: 'return command.clear !== undefined ? { names }',
    caughtBy: { file: 'test/router/transaction/clears-over-shards.test.ts', test: 'before the page or after it' },
  },
  {
    name: 'keys of one name in two accounts are one',
    file: 'src/protocol/footprint.ts',
    find: 'return `${account}\\0$',
    replace: 'return `${account.slice(0, 0)}\\0$',
    caughtBy: { file: `${tests}/core/holds.test.ts`, test: 'everything that needs it is blocked' },
  },
  {
    name: 'a hold covers a thing and not its parts',
    file: 'src/protocol/footprint.ts',
    find: '${nul === -1 ? key : key.slice(0, nul)}',
    replace: '${nul === -2 ? "" : key}',
    caughtBy: { file: 'test/protocol/parts.test.ts', test: 'while a transaction holds their thing they do not expire' },
  },
  {
    name: 'one failed condition of another shard is overlooked',
    file: 'src/router/transaction/merge-evaluations.ts',
    find: 'failed: parts.flatMap((part) => part.failed)',
    replace: 'failed: parts.slice(-1).flatMap((part) => part.failed)',
    caughtBy: {
      file: 'test/router/transaction/batches-over-shards.test.ts',
      test: 'with a failing condition on any shard',
    },
  },
  {
    name: 'a batch over several shards is not kept from readers until it is applied',
    file: `${core}/state/holds.ts`,
    find: 'return !this.#footprints.empty && this.#footprints.conflicts(footprint);',
    replace:
      'return !this.#footprints.empty && footprint.prefix !== undefined && this.#footprints.conflicts(footprint);',
    caughtBy: { file: 'test/router/transaction/batches-over-shards.test.ts', test: 'is seen on all shards or on none' },
  },
  {
    name: 'a list over shards is not of one moment',
    file: 'src/router/transaction/coordinator.ts',
    find: "      assert(answer.kind === 'rows', 'a list is answered with rows');\n",
    replace:
      "      assert(answer.kind === 'rows', 'a list is answered with rows');\n" +
      "      this.#participants.tell(shard, { kind: 'transaction.release', transaction: this.#transaction, account: this.#account });\n",
    caughtBy: { file: 'test/router/transaction/batches-over-shards.test.ts', test: 'is seen on all shards or on none' },
  },
  {
    name: 'the order per key is lost behind a batch over several shards',
    file: 'src/router/transaction/transaction-order.ts',
    find: 'if (!this.#underWay.conflicts(footprint) && !this.#waiting.conflicts(footprint)) {',
    replace: 'if (footprint !== undefined) {',
    caughtBy: { file: 'test/router/transaction/batches-over-shards.test.ts', test: 'keeps the order per key' },
  },
  {
    name: 'what was blocked is run out of order',
    file: 'src/protocol/footprint-queue.ts',
    find: 'if (blocked(footprint) || kept.conflicts(footprint)) {',
    replace: 'if (blocked(footprint)) {',
    caughtBy: {
      file: `${tests}/core/holds.test.ts`,
      test: 'a message after one that is still blocked stays blocked',
    },
  },

  // Work: one account does not keep the others waiting.
  {
    name: 'a shard serves accounts in order of arrival',
    file: 'src/shard-worker/shard-actor.ts',
    find: '        default:\n          this.#mailbox.push(accountOf(message), { router, message, since });',
    replace: '        default:\n          this.#mailbox.push(serverAccount, { router, message, since });',
    caughtBy: { file: 'test/shard-worker/turn-bounds.test.ts', test: 'another account is answered in the turn' },
  },
  {
    name: 'a freed lock runs all its waiters at once',
    file: `${core}/serve-queues.ts`,
    find: '    if (left < 0) {',
    replace: '    if (left < -1e9) {',
    caughtBy: { file: `${tests}/core/bounded-work.test.ts`, test: 'a freed lock whose waiters all fail' },
  },
  {
    name: 'what is left of a wait queue stands behind later requests',
    file: `${core}/serve-queues.ts`,
    find: "      state.ownMessages.push({ kind: 'queue.serve', resource: queue.kind, account: queue.account, id: queue.id });\n",
    replace: '',
    caughtBy: { file: `${tests}/core/bounded-work.test.ts`, test: 'a freed lock whose waiters all fail' },
  },
  {
    name: 'a lock waits for the end of its entry, behind all others that are due',
    file: `${core}/expiry.ts`,
    find: "    if (state.outOfSpace?.space !== 'full') state.waitQueues.grantable.add(queue);\n",
    replace: '',
    caughtBy: { file: `${tests}/core/bounded-work.test.ts`, test: 'a lock is granted when its lease ends, though' },
  },

  // Locks: I8, I9, I14.
  {
    name: 'a newcomer barges past the wait queue',
    file: `${core}/operations/waiting.ts`,
    find: 'return isFree(view) && state.waitQueues.find(resource, account, operation.id) === undefined;',
    replace: 'return isFree(view);',
    caughtBy: {
      file: 'test/router/transaction/batches-over-shards.test.ts',
      test: 'no other owner gets it between reservation',
    },
  },
  {
    name: 'last come, first served',
    file: `${core}/state/wait-queue.ts`,
    find: '    return this.#waiters.values().next().value;',
    replace: '    return [...this.#waiters.values()].at(-1);',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'strictly first come, first served' },
  },
  {
    name: 'any owner passes for the holder',
    file: `${core}/state/lease.ts`,
    find: 'return operation.owner !== undefined && view.lease.owner === operation.owner;',
    replace: 'return operation.owner !== undefined && view.lease.owner !== undefined;',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'another owner is not the owner' },
  },
  {
    name: 'a grant to a client that has vanished is kept',
    file: 'src/router/router.ts',
    find: '    else if (reply.grant !== undefined) this.#returnGrant(reply.grant);\n',
    replace: '',
    caughtBy: { file: 'test/router/reply-gate.test.ts', test: 'gives the lock to the next waiter' },
  },
  {
    name: 'a lease that nobody was told of is taken back by force',
    file: `${core}/apply.ts`,
    find: "format: 'lock.release', unlock: { id, fence } });",
    replace: "format: 'lock.release', unlock: { id } });",
    caughtBy: { file: 'test/sim/simulator.test.ts', test: '1,000 seeds' },
  },
  {
    name: 'a waiter that was cancelled stays in its queue',
    file: `${core}/operations/waiting.ts`,
    find: '  leaveQueue(state, waiter);\n  if (!waiter.reserved) answer',
    replace: '  forget(state, waiter);\n  if (!waiter.reserved) answer',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'a waiter that disconnects leaves at once' },
  },
  {
    name: 'any number may wait',
    file: `${core}/operations/waiting.ts`,
    find: 'if (waiting >= waiters_per_lock_max) {',
    replace: 'if (waiting < 0) {',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'too many waiters of one lock' },
  },
  {
    name: 'an extension revives a lease that has expired',
    file: `${core}/state/lease.ts`,
    find: '  if (till > now) return { lease, till, ended };\n',
    replace: '  if (till > 0) return { lease, till, ended };\n',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'a lease whose expiry could not be committed yet is over' },
  },
  {
    name: 'an extension is not written down',
    file: `${core}/operations/lock.ts`,
    find: '    writeSet.put(grantEffect(evaluation, view, operation));\n',
    replace: '    if (!isOwnLease(view, operation)) writeSet.put(grantEffect(evaluation, view, operation));\n',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'by fence: same fence, Till from now' },
  },
  {
    name: 'any fence unlocks',
    file: `${core}/state/lease.ts`,
    find: 'operation.fence === undefined ? lease.owner === operation.owner : lease.fence === operation.fence;',
    replace: 'operation.fence === undefined ? lease.owner === operation.owner : lease.fence > 0;',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'wrong fence, the fence of another lock' },
  },
  {
    name: 'the unlock of a lease that expired answers 200',
    file: `${core}/state/lease.ts`,
    find: "if (ended?.why === 'released') return { kind: 'done' };",
    replace: "if (ended !== undefined) return { kind: 'done' };",
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'after expiry: lock_lost, expired' },
  },
  {
    name: 'fences of mutexes begin anew after a restart',
    file: `${core}/state/state.ts`,
    find: 'new Fences(given.boot.epoch)',
    replace: 'new Fences(1)',
    caughtBy: { file: `${tests}/core/mutexes.test.ts`, test: 'fences grow over restarts' },
  },
  {
    name: 'an epoch of fences is used again after a crash',
    file: 'src/protocol/epochs.ts',
    find: ': stored + 1;',
    replace: ': stored;',
    caughtBy: { file: `${tests}/replay.test.ts`, test: 'a shard takes a further epoch before its fences end' },
  },
  {
    name: 'a lease has no grace after a restart',
    file: `${core}/operations/lock.ts`,
    find: 'Math.max(entry.till, boot.at + Math.min(durMs, lockGraceMs))',
    replace: 'entry.till',
    caughtBy: { file: `${tests}/core/locks.test.ts`, test: 'a lock is still held, for at least' },
  },

  // Idempotency: I15.
  {
    name: 'the idempotency record is not in the commit of the effects',
    file: `${core}/batch/batch.ts`,
    find: '  commit(turn, record);\n',
    replace:
      '  const [stored, effects] = [0x69, 0].map((expected) =>\n' +
      '    record.effects.filter(({ kind }) => (kind === 0x69) === (expected !== 0)),\n' +
      '  );\n' +
      '  commit(turn, { ...record, effects: effects! });\n' +
      '  if (stored!.length > 0) commit(turn, { ...record, rev: out.nextRevision(), effects: stored! });\n',
    caughtBy: { file: `${tests}/core/idempotency.test.ts`, test: 'the record is in the commit of the effects' },
  },
  {
    name: 'a record may be larger than a segment',
    file: `${core}/batch/batch.ts`,
    find: 'recordTooLarge(batch, evaluation.pending, tail, state.recordBytesMax)',
    replace: 'recordTooLarge(batch, evaluation.pending, tail, 8 * state.recordBytesMax)',
    caughtBy: { file: `${tests}/core/record-size.test.ts`, test: 'fits, or is refused without a trace' },
  },
  {
    name: 'an id whose reply another shard has is replayed without it',
    file: `${core}/state/state.ts`,
    find: 'holder === undefined ? replyUnder(record, pointed) : pointerTo(holder)',
    replace: 'holder === undefined ? written : pointerTo(holder)',
    caughtBy: { file: `${tests}/replay.test.ts`, test: 'ids on several shards share one reply' },
  },
  {
    name: 'a repartition parts an id from its reply',
    file: 'src/storage/lmdb/repartition.ts',
    find: 'ownerOf(account, pointed, targets.length) !== owner',
    replace: 'ownerOf(account, pointed, targets.length) === owner',
    caughtBy: { file: 'test/storage/lmdb/repartition.test.ts', test: 'gets the reply' },
  },
  {
    name: 'a replay ignores that the payload is another',
    file: `${core}/batch/stored-reply.ts`,
    find: 'const same = unknown || before.fingerprint === fingerprint;',
    replace: 'const same = fingerprint.length > 0;',
    caughtBy: { file: `${tests}/core/idempotency.test.ts`, test: 'another payload is 422' },
  },
  {
    name: 'two requests with one id happen while the first waits',
    file: `${core}/operations/idempotency.ts`,
    find: '    if (count > 0) state.inProgress.set(name, count);\n',
    replace: '    if (count > 1) state.inProgress.set(name, count);\n',
    caughtBy: { file: `${tests}/core/idempotency.test.ts`, test: 'while the first waits for its lock' },
  },

  // Watches: I10.
  {
    name: 'a watcher is not asked for again when the version is the one it has',
    file: 'src/router/watch/key-watches.ts',
    find: '      else this.#ask(interest);\n',
    replace: '',
    caughtBy: { file: 'test/router/watch/watches.test.ts', test: 'hear of its return' },
  },
  {
    name: 'events are doubled where a reader joins the live ones',
    file: 'src/router/watch/prefix-watches.ts',
    find: '      if (record.rev <= reader.position) continue;\n',
    replace: '',
    caughtBy: { file: 'test/router/watch/watches.test.ts', test: 'gets nothing twice, whatever the moment' },
  },
  {
    name: 'a page of events ends within a commit',
    file: 'src/router/watch/prefix-readers.ts',
    find: '      this.#events.push(event);\n',
    replace: '      if (this.#events.length < this.#limit) this.#events.push(event);\n',
    caughtBy: { file: 'test/router/watch/watches.test.ts', test: 'ordered, unique, whole commits, nothing missing' },
  },
  {
    name: 'history that is gone is passed over',
    file: 'src/journal/file/journal-directory.ts',
    find: 'return this.#segments.findLast((segment) => segment.first <= rev);',
    replace: 'return this.#segments.findLast((segment) => segment.first <= rev) ?? this.#segments[0];',
    caughtBy: { file: 'test/journal/file/journal-reader.test.ts', test: 'what was trimmed is compacted' },
  },
  {
    name: 'the cursor to resume with is one too low',
    file: 'src/router/watch/history-replies.ts',
    find: 'const after = oldest - 1;',
    replace: 'const after = oldest - 2;',
    caughtBy: { file: 'test/router/watch/watches.test.ts', test: 'a cursor older than what is kept' },
  },
  {
    name: 'a watch is answered by a change from before it',
    file: 'src/router/watch/key-watches.ts',
    find: 'this.#registered !== undefined && event.rev > this.#registered',
    replace: 'event.rev > 0',
    caughtBy: { file: 'test/router/watch/watch-order.test.ts', test: 'a change on its way for an earlier watcher' },
  },
  {
    name: 'a watch says that nothing happened before its shard has answered',
    file: 'src/router/watch/key-watches.ts',
    find: 'if (watcher.unanswered === 0) this.#finish(watcher, nothing);',
    replace: 'this.#finish(watcher, nothing);',
    caughtBy: { file: 'test/router/watch/watch-order.test.ts', test: 'said only once the shard has said so' },
  },
  {
    name: 'a poll ends before it has read what was durable when it began',
    file: 'src/router/watch/prefix-readers.ts',
    find: 'if (this.#position >= this.#target) this.#reply();',
    replace: 'this.#reply();',
    caughtBy: { file: 'test/router/watch/watch-order.test.ts', test: 'first reads what was durable when it began' },
  },

  // The order of one connection.
  {
    name: 'a request overtakes one whose body has not ended',
    file: 'src/front-end/http/sockets/request-order.ts',
    find: 'return this.#taken === 0 && !this.#advancing && this.#waiting.length === 0 && this.#isFree;',
    replace: 'return true;',
    caughtBy: { file: pipelines, test: 'a request without a body does not overtake one with a body' },
  },
  {
    name: 'a watch of a prefix begins before what was sent before it',
    file: 'src/front-end/http/sockets/request-order.ts',
    find: 'if (!earlier.awaitsReply) return begin();',
    replace: 'if (begin !== undefined) return begin();',
    caughtBy: { file: pipelines, test: 'a prefix watch shows what was sent after it' },
  },
  {
    name: 'a request begins after its connection has closed',
    file: 'src/front-end/http/sockets/request-order.ts',
    find: 'if (this.#socket.destroyed) request.drop();',
    replace: 'if (next > 5000) request.drop();',
    caughtBy: { file: pipelines, test: 'what has not begun never begins' },
  },
  {
    name: 'a wait runs out with what a batch over several shards is about to change',
    file: `${core}/expiry.ts`,
    find: "if (kind === 'lock' && turn.state.holds.conflicts({ names: [name] })) {",
    replace: "if (kind === 'lock' && name === '') {",
    caughtBy: {
      file: 'test/router/transaction/batches-over-shards.test.ts',
      test: 'that gives a lock away while a wait for it runs out',
    },
  },
  {
    name: 'a batch over several shards keeps no order because it might wait',
    file: 'src/router/router.ts',
    find: '    this.#order.begin(footprint);\n',
    replace: '    if (waitsForLock(command)) keepsOrder = false;\n    else this.#order.begin(footprint);\n',
    caughtBy: {
      file: 'test/router/transaction/batches-over-shards.test.ts',
      test: 'that may wait keeps the order per key while its lock is free',
    },
  },

  // Seen by clients of a real server that is killed.
  {
    name: 'the end of the log is left out of the replay',
    file: 'src/shard-worker/open-shard.ts',
    find: 'applyRecord({ entries: store, owns }, decodeRecord(buffer, at));',
    replace: 'if (rev <= last - 8) applyRecord({ entries: store, owns }, decodeRecord(buffer, at));',
    caughtBy: histories,
  },
  {
    name: 'idempotency records are left out of the replay',
    file: 'src/shard-worker/open-shard.ts',
    find: 'applyRecord({ entries: store, owns }, decodeRecord(buffer, at));',
    replace:
      'const record = decodeRecord(buffer, at);\n' +
      '    const effects = record.effects.filter(({ kind }) => kind !== kinds.idempotency);\n' +
      '    applyRecord({ entries: store, owns }, { ...record, effects });',
    caughtBy: histories,
  },
  {
    name: 'a key that a batch sets with others is stored under the revision before',
    file: `${core}/state/state.ts`,
    find: 'state.entries.put(kind, account, key, { rev, till, value });',
    replace:
      'state.entries.put(kind, account, key, { rev: record.effects.length > 3 ? ((rev - 1) as Revision) : rev, till, value });',
    caughtBy: histories,
  },
  {
    name: 'a mutex is given to any request',
    file: `${core}/operations/waiting.ts`,
    find: 'return isFree(view) && state.waitQueues.find(resource, account, operation.id) === undefined;',
    replace:
      "if (resource === 'mutex') return true;\n  return isFree(view) && state.waitQueues.find(resource, account, operation.id) === undefined;",
    caughtBy: histories,
  },

  // Load faults: crowds, processes that stand still, sockets that close at the worst moment.
  {
    name: 'when one leaves the queue, the next goes to its end',
    file: `${core}/state/wait-queue.ts`,
    find: '    this.#waiters.delete(waiter.ticket);\n',
    replace:
      '    this.#waiters.delete(waiter.ticket);\n    const next = this.head();\n' +
      '    if (next !== undefined && this.#waiters.delete(next.ticket)) this.#waiters.set(next.ticket, next);\n',
    caughtBy: { file: `${loadFaults}/lock-storm.test.ts`, test: 'no two holders, and first come, first served' },
  },
  {
    name: 'a mutex that was granted to a client that has disconnected is kept',
    file: `${core}/operations/mutex.ts`,
    find: 'if (view.lease?.fence === fence && mutex?.timer.seq === version)',
    replace: 'if (view.lease?.fence === fence && mutex?.timer.seq === 0)',
    caughtBy: { file: `${loadFaults}/closed-at-grant.test.ts`, test: 'nobody dead keeps it' },
  },
  {
    name: 'the difference of two clocks is that of their first readings, however long the thread waits in between',
    file: 'src/shared/clock.ts',
    find: 'if (after - before >= closest) continue;',
    replace: 'if (closest < Infinity) continue;',
    caughtBy: { file: 'test/shared/clock.test.ts', test: 'the difference of two clocks is exact' },
  },
  {
    name: 'time that a thread has slept through counts twice',
    file: 'src/shared/clock.ts',
    find: '  let last = 0;\n  return {\n    now() {\n      const at = ',
    replace:
      '  let [last, seen, slept] = [0, 0, 0];\n  return {\n    now() {\n      const here = performance.now();\n' +
      '      if (here - seen > 700) slept += here - seen;\n      seen = here;\n      const at = slept + ',
    caughtBy: { file: `${loadFaults}/stopped.test.ts`, test: 'leases end in time, never early' },
  },
  {
    name: 'a start takes the time of the machine as it is',
    file: 'src/main/server-clock.ts',
    find: '  return Math.max(time, kept.time, floor);',
    replace: '  return Math.max(wall, time * 0);',
    caughtBy: { file: 'test/main/server-clock.test.ts', test: 'what is left of each duration stays' },
  },
  {
    name: 'a machine that was started again takes wall time as it is',
    file: 'src/main/server-clock.ts',
    find: 'const byWall = wall - (Math.abs(offset) > agreeMs ? offset : 0);',
    replace: 'const byWall = wall;',
    caughtBy: { file: 'test/main/server-clock.test.ts', test: 'a wall clock that was set right ends nothing' },
  },
  {
    name: 'the time may begin before the last frame of the journal',
    file: 'src/main/server-clock.ts',
    find: 'return Math.max(time, kept.time, floor);',
    replace: 'return time;',
    caughtBy: { file: 'test/main/server-clock.test.ts', test: 'no start begins before the last frame' },
  },
  {
    name: 'wall time that jumps ahead is followed at once',
    file: 'src/main/server-clock.ts',
    find: 'this.#ticks % forwardTicks === 0) shiftClock(memory, 1);',
    replace: 'this.#ticks > 0) shiftClock(memory, offset);',
    caughtBy: { file: 'test/main/server-clock.test.ts', test: 'wall time that jumps ahead is followed by 1 ms' },
  },
  {
    name: 'a process without open files takes its disk for broken',
    file: 'src/journal/file/segment.ts',
    find: ' || isOutOfFiles(error);',
    replace: ' || (isOutOfFiles(error) && false);',
    caughtBy: { file: 'test/journal/file/journal-writer.test.ts', test: 'is no room, not a broken disk' },
  },
  {
    name: 'the names that lead to a new data directory are not synced',
    file: 'src/main/data-directory/data-directory-lock.ts',
    find: '      disk.syncDirectory(path.dirname(at));\n',
    replace: '',
    caughtBy: { file: 'test/main/data-directory/data-directory-lock.test.ts', test: 'every name that leads to it' },
  },
  {
    name: 'a connection too many is let in',
    file: 'src/front-end/http/sockets/connection-limits.ts',
    find: 'if (before < mostPerAddress) return',
    replace: 'if (before <= mostPerAddress) return',
    caughtBy: { file: 'test/server/connections.test.ts', test: 'over the limit of its address' },
  },
  {
    name: 'a stream that comes back begins where it began',
    file: 'src/front-end/http/routes/watch-stream.ts',
    find: "lastEventId(request) ?? query.integer('after', 0)",
    replace: "query.integer('after', 0) ?? lastEventId(request)",
    caughtBy: { file: `${loadFaults}/watch-restarts.test.ts`, test: 'no event is lost or doubled' },
  },

  // Store and Locker.
  {
    name: 'a lock in DynamoDB is taken over after half a lease',
    file: 'src/client/store/dynamodb-lock.ts',
    find: 'this.#seen.sinceMs + this.#seen.leaseMs - nowMs',
    replace: 'this.#seen.sinceMs + this.#seen.leaseMs / 2 - nowMs',
    caughtBy: { file: `${stores}/dynamodb-faults.test.ts`, test: 'a holder without replies knows' },
  },
  {
    name: 'a released lock in DynamoDB forgets its fence',
    file: 'src/client/store/dynamodb-lock.ts',
    find: "remove: ['owner', 'beat', 'lease'],",
    replace: "remove: ['owner', 'beat', 'lease', 'fence'],",
    caughtBy: { file: `${stores}/dynamodb-faults.test.ts`, test: 'so that its fence never begins again' },
  },
  {
    name: 'a late request takes a lock in DynamoDB that nobody waits for',
    file: 'src/client/store/dynamodb-lock.ts',
    find: "{ condition: 'attribute_not_exists(#fence)' }",
    replace: "{ condition: 'attribute_not_exists(#owner)' }",
    caughtBy: {
      file: `${stores}/dynamodb-faults.test.ts`,
      test: 'no client comes to hold a lock by a request that it has given up on',
    },
  },
  {
    name: 'those who wait in DynamoDB look in step',
    file: 'src/client/store/dynamodb-lock.ts',
    find: 'pollMs * (0.5 + environment.random())',
    replace: 'pollMs',
    caughtBy: { file: `${stores}/dynamodb-faults.test.ts`, test: 'waiters poll at different moments' },
  },
  {
    name: 'a write to DynamoDB whose reply is lost counts as refused',
    file: 'src/client/store/dynamodb-table.ts',
    find: "        if (change.isDone(item)) return { kind: 'done', item };\n",
    replace: '',
    caughtBy: { file: `${stores}/dynamodb-faults.test.ts`, test: 'the writer learns that its write happened, once' },
  },
  {
    name: 'a refusal by DynamoDB is believed after a lost reply',
    file: 'src/client/store/dynamodb-table.ts',
    find: 'sure: tries === 1 && wasSentOnce(error)',
    replace: 'sure: true',
    caughtBy: { file: `${stores}/dynamodb-faults.test.ts`, test: 'is not called refused' },
  },
  {
    name: 'a put to DynamoDB is sent again in doubt',
    file: 'src/client/store/dynamodb-table.ts',
    find: 'tries === triesMax || change.unsafeToRepeat === true',
    replace: 'tries === triesMax',
    caughtBy: {
      file: `${stores}/dynamodb-faults.test.ts`,
      test: 'a put, which could undo a later one, is unknown',
    },
  },
  {
    name: 'a late request brings a deleted pair back in DynamoDB',
    file: 'src/client/store/dynamodb-store.ts',
    find: "? { condition: 'attribute_not_exists(#nonce)' }",
    replace: "? { condition: 'attribute_not_exists(#value)' }",
    caughtBy: {
      file: `${stores}/dynamodb-faults.test.ts`,
      test: 'a write that arrives after its sender has gone on changes nothing',
    },
  },
  {
    name: 'a store keeps the lock of a wait that was cancelled',
    file: 'src/client/store/locker.ts',
    find: "      if (grant !== 'busy') await grant.release().catch(() => undefined);\n",
    replace: '',
    caughtBy: {
      file: `${stores}/dynamodb-faults.test.ts`,
      test: 'a wait that is cancelled while its request is in flight',
    },
  },
  {
    name: 'a store leaves a lock behind that was granted as its wait was cancelled',
    file: 'src/client/store/lock-on-server.ts',
    find: "    await this.#giveUp(owner, wait);\n    return 'busy';",
    replace: "    return 'busy';",
    caughtBy: { file: `${stores}/dragon-lock.test.ts`, test: 'a wait that is cancelled in the moment of the grant' },
  },

  // The client.
  {
    name: 'a lease is counted from the reply',
    file: 'src/client/lease.ts',
    find: 'this.#sentAt = sentAt;',
    replace: 'this.#sentAt = this.#options.clock.mark();',
    caughtBy: { file: 'test/client/lease.test.ts', test: 'counted from each request' },
  },
  {
    name: 'a blocked event loop hides that a lease is over',
    file: 'src/client/lease.ts',
    find: '    checkClock();\n    return Reflect',
    replace: '    return Reflect',
    caughtBy: { file: 'test/client/lease.test.ts', test: 'has fired before any timer has run' },
  },
  {
    name: 'a grant that was waited for is trusted as it is',
    file: 'src/client/acquire.ts',
    find: 'sender.clock.since(sentAt) < lessee.ttlMs / 4',
    replace: 'lessee.ttlMs > 0',
    caughtBy: { file: 'test/client/acquire.test.ts', test: 'is extended before it counts' },
  },
  {
    name: 'an acquire that is given up leaves its grant behind',
    file: 'src/client/acquire.ts',
    find: '      void open.track(abandon(family, context, { id, owner, ttlMs, waited: waitMs > 0 }));\n',
    replace: '',
    caughtBy: { file: 'test/client/acquire.test.ts', test: 'releases what may have been granted' },
  },
  {
    name: 'a call overtakes another on its key',
    file: 'src/client/call-queue.ts',
    find: 'this.#busy.has(name) || ',
    replace: '',
    caughtBy: { file: 'test/client/call-queue.test.ts', test: 'a call on a key that is in flight waits for it' },
  },
  {
    name: 'a write without an id is sent twice',
    file: 'src/client/call-sender.ts',
    find: "(!error.sent || pending.call.retry !== 'unsafe')",
    replace: '(true)',
    caughtBy: { file: 'test/client/retries.test.ts', test: 'a write without an id is sent again only' },
  },
  {
    name: 'a page of a gateway is taken for a foreign server',
    file: 'src/client/server-reply.ts',
    find: 'return json;\n  throw noReply(reply);',
    replace: "return json;\n  throw new NotDragonLockError('It is not a Dragon Lock server.');",
    caughtBy: { file: 'test/client/retries.test.ts', test: 'a reply of a gateway is no reply' },
  },
  {
    name: 'a client that is closed forgets what it is acquiring',
    file: 'src/client/open-locks.ts',
    find: '    for (const acquire of this.#acquires) acquire.abort(new ClosedError());\n',
    replace: '',
    caughtBy: { file: 'test/client/closing.test.ts', test: 'a close without a server ends within its bound' },
  },
  {
    name: 'a write that was given up is overtaken by the next one',
    file: 'src/client/call-queue.ts',
    find: "ordered: call.retry !== 'safe'",
    replace: 'ordered: false',
    caughtBy: { file: 'test/client/call-queue.test.ts', test: 'order is kept behind a call that was given up' },
  },
  {
    name: 'a turn answers as much as is asked for at once',
    file: 'src/shard-worker/shard-actor.ts',
    find: ' || this.#turnOut.length + this.#records.byteLength >= turnBytesMax',
    replace: '',
    caughtBy: { file: `${tests}/turn-bounds.test.ts`, test: 'committed in groups of bounded size' },
  },
  {
    name: 'slow senders may fill the memory',
    file: 'src/front-end/byte-budget.ts',
    find: 'this.#bytes <= this.#bytesMax || ',
    replace: 'this.#bytes <= Number.MAX_SAFE_INTEGER || ',
    caughtBy: { file: 'test/front-end/http/connections.test.ts', test: 'the body that has been arriving for longest' },
  },
  {
    name: 'what an account has in flight is never given back',
    file: 'src/router/request-loads.ts',
    find: "    load.use.give(load.waits ? 'waiters' : 'inFlight');\n",
    replace: '',
    caughtBy: { file: 'test/router/account-limits.test.ts', test: 'requests in flight of an account have a limit' },
  },
  {
    name: 'the memory of requests that wait has no limit',
    file: 'src/router/request-loads.ts',
    find: '? [limits.account_waiting_bytes_max, limits.waiting_bytes_max]',
    replace: '? [0, Number.MAX_SAFE_INTEGER]',
    caughtBy: { file: 'test/router/account-limits.test.ts', test: 'have budgets in bytes' },
  },
  {
    name: 'each front end counts the accounts for itself',
    file: 'src/router/account-counts.ts',
    find: 'this.#cells = new Int32Array(memory, 0, places * cellsOfPlace);',
    replace: 'this.#cells = new Int32Array(new SharedArrayBuffer(memory.byteLength), 0, places * cellsOfPlace);',
    caughtBy: { file: 'test/router/account-limits.test.ts', test: 'limits of its own; 0 is none' },
  },
  {
    name: 'mutexes of an account are counted and never forgotten',
    file: `${core}/operations/mutex.ts`,
    find: '  count(mutexes, name, -1);\n',
    replace: '',
    caughtBy: { file: `${tests}/core/mutexes.test.ts`, test: 'an account has a limit of its own' },
  },
  {
    name: 'the account that holds little loses its oldest',
    file: 'src/front-end/byte-budget.ts',
    find: 'if (bytes > most)',
    replace: 'if (most === 0 || bytes < most)',
    caughtBy: { file: 'test/front-end/byte-budget.test.ts', test: 'the account that holds most loses its oldest' },
  },
  {
    name: 'every pipelined request is begun at once',
    file: 'src/front-end/http/sockets/request-order.ts',
    find: 'return this.#unanswered < unansweredMax && this.#unreadBytes <= unreadBytesMax;',
    replace: 'return true;',
    caughtBy: { file: 'test/front-end/http/pipelining.test.ts', test: 'few are begun before the first is read' },
  },
  {
    name: 'one account takes all places of those who read history',
    file: 'src/router/watch/history-turns.ts',
    find: 'if (reading < this.#places - 1)',
    replace: 'if (reading < this.#places)',
    caughtBy: { file: 'test/router/watch/history-turns.test.ts', test: 'one place is left for another account' },
  },

  // The wiring around core, journal and router.
  {
    name: 'the credit for replies below 1 MiB is never given back',
    file: 'src/router/shard-link.ts',
    find: 'if (length < ReplyCredit.small) listener(message);',
    replace: 'if (length < 1024 * 1024) listener(message);',
    caughtBy: { file: 'test/router/shard-link.test.ts', test: 'the credit for messages of every size is given back' },
  },
  {
    name: 'a router keeps the credit for what it has taken',
    file: 'src/router/router.ts',
    find: '    if (taken !== undefined) this.#gate.pass(shard, highestOf(message), taken);\n',
    replace: '',
    caughtBy: {
      file: 'test/router/transaction/batches-over-shards.test.ts',
      test: 'in opposite directions, many at once',
    },
  },
  {
    name: 'a store is served with the journal of another server',
    file: 'src/main/data-directory/open-data-directory.ts',
    find: 'if (layout.logId !== logId) {',
    replace: "if (layout.logId === '') {",
    caughtBy: {
      file: 'test/main/data-directory/open-data-directory.test.ts',
      test: 'a store and a journal of two servers are refused',
    },
  },
  {
    name: 'a lease does not see that the computer has slept',
    file: 'src/client/lease-clock.ts',
    find: 'Math.max(performance.now() - monotonicMs, Date.now() - wallMs)',
    replace: 'Math.max(performance.now() - monotonicMs, wallMs * 0)',
    caughtBy: { file: 'test/client/lease-clock.test.ts', test: 'whichever of the two clocks has gone further' },
  },
  {
    name: 'an idempotency id stays used until its expiry is committed',
    file: 'src/shard-worker/core/operations/idempotency.ts',
    find: 'entry === undefined || entry.till <= now',
    replace: 'entry === undefined',
    caughtBy: {
      file: 'test/shard-worker/core/idempotency.test.ts',
      test: 'though its expiry waits behind thousands of others',
    },
  },
  {
    name: 'a new journal directory is not synced',
    file: 'src/journal/file/recovery.ts',
    find: '  disk.syncDirectory(path.dirname(directory));\n',
    replace: '',
    caughtBy: { file: 'test/journal/file/crash.test.ts', test: 'at every disk call of a life' },
  },
  {
    name: 'a new store is synced only by the process that makes it',
    file: 'src/storage/lmdb/lmdb-store.ts',
    find: 'if (!readOnly && this.layout() === undefined) {',
    replace: 'if (!readOnly && this.layout() === undefined && !LmdbStore.exists(dataDirectory)) {',
    caughtBy: { file: 'test/storage/lmdb/lmdb-store.test.ts', test: 'its names are synced at every start' },
  },
  {
    name: 'a checkpoint in the middle of a replay claims all of it',
    file: 'src/shard-worker/open-shard.ts',
    find: 'await checkpointer.start(rev);',
    replace: 'await checkpointer.start(last);',
    caughtBy: { file: 'test/shard-worker/replay.test.ts', test: 'cut short right after one of its checkpoints' },
  },
  {
    name: 'a pointer to an older reply gets a newer one when shards change',
    file: 'src/storage/lmdb/repartition.ts',
    find: 'readEntry(reply).rev === readEntry(pointer).rev',
    replace: 'readEntry(pointer).rev >= 0',
    caughtBy: { file: 'test/storage/lmdb/repartition.test.ts', test: 'that parts from the reply it points to' },
  },
  {
    name: 'a thread that leaves a mutex wakes nobody',
    file: 'src/shared/shared-mutex.ts',
    find: 'free) === contended) Atomics.notify',
    replace: 'free) === held) Atomics.notify',
    caughtBy: { file: 'test/shared/between-threads.test.ts', test: 'a thread that sleeps before it is woken' },
  },
  {
    name: 'what waited for a batch over several shards counts as waiting for ever',
    file: 'src/router/transaction/transaction-order.ts',
    find: '        this.#options.count.give();\n',
    replace: '',
    caughtBy: {
      file: 'test/router/transaction/batches-over-shards.test.ts',
      test: 'in opposite directions, many at once',
    },
  },
  {
    name: 'the rest of a command runs its first part again',
    file: 'src/shared/fair-queue.ts',
    find: 'lane.items.splice(lane.at, 0, item)',
    replace: 'lane.items.splice(0, 0, item)',
    caughtBy: {
      file: 'test/shared/fair-queue.test.ts',
      test: 'what goes on with an earlier item comes before the others',
    },
  },
  {
    name: 'a slow moment is owed in full',
    file: 'src/shared/fair-queue.ts',
    find: 'Math.max(lane.credit - micros, -debtMax)',
    replace: 'lane.credit - micros',
    caughtBy: { file: 'test/shared/fair-queue.test.ts', test: 'costs its account some rounds' },
  },
  {
    name: 'a shard books what it sends on the account of another front end',
    file: 'src/shard-worker/shard-thread.ts',
    find: 'router * data.shards + data.shard',
    replace: 'router + data.shard',
    caughtBy: { file: 'test/server/front-ends.test.ts', test: 'large replies go on for ever' },
  },
  {
    name: 'a shard that waits for what is durable already waits for the next commit',
    file: 'src/journal/journal-actor.ts',
    find: 'if (durable() >= rev) tellShard',
    replace: 'if (durable() > rev) tellShard',
    caughtBy: { file: 'test/journal/journal-actor.test.ts', test: 'at once if it is already' },
  },
  {
    name: 'a shard asks for one further epoch in its life',
    file: 'src/shard-worker/epoch-exchange.ts',
    find: '    this.#asked = false;\n',
    replace: '',
    caughtBy: { file: `${tests}/epoch-exchange.test.ts`, test: 'each time that its fences are low' },
  },

  // The fast lane: it reads what Node's parser would read.
  {
    name: 'the fast lane takes a header that is given twice',
    file: `${lane}/head-reader.ts`,
    find: 'if (headers[name] !== undefined) return undefined;',
    replace: '',
    caughtBy: fuzzedLane,
  },
  {
    name: 'the fast lane takes any version',
    file: `${lane}/request-line.ts`,
    find: "    if (!text.startsWith(version, end)) return text.length < end + version.length ? 'incomplete' : 'unusual';\n",
    replace: "    if (!text.startsWith('\\r\\n', end + version.length - 2)) return 'unusual';\n",
    caughtBy: fuzzedLane,
  },
  {
    name: 'the fast lane takes a blank before a colon',
    file: `${lane}/head-reader.ts`,
    find: String.raw`+):([\t -~]*)`,
    replace: String.raw`+)[\t ]*:([\t -~]*)`,
    caughtBy: fuzzedLane,
  },
  {
    name: 'the fast lane takes a request with Transfer-Encoding',
    file: `${lane}/head-reader.ts`,
    find: "  'transfer-encoding',\n",
    replace: '',
    caughtBy: fuzzedLane,
  },
  {
    name: 'the fast lane serves any host',
    file: `${lane}/lane.ts`,
    find: 'isRefused: (headers) =>',
    replace: 'isRefused: (headers) => false &&',
    caughtBy: { file: 'test/front-end/http/lane/both-ways.test.ts', test: 'both ways answer what is not plain' },
  },
  {
    name: 'the fast lane takes a whole chunk of requests in one turn',
    file: `${lane}/lane-connection.ts`,
    find: ' || taken === takenMax',
    replace: '',
    caughtBy: { file: 'test/front-end/http/lane/lane.test.ts', test: 'lane: 1,600 small requests in one chunk' },
  },
  {
    name: 'the fast lane writes a reply before earlier ones',
    file: `${lane}/lane-replies.ts`,
    find: 'if (exchange !== this.#first) {',
    replace: "if (exchange !== this.#first && text === '') {",
    caughtBy: { file: 'test/front-end/http/lane/lane.test.ts', test: 'lane: replies that wait for one before them' },
  },
  {
    name: 'EXEC forgets what the client watches',
    file: 'src/front-end/resp/commands/transactions.ts',
    find: 'watched.map(([key, version]) => ({ key, version }))',
    replace: 'watched.slice(watched.length).map(([key, version]) => ({ key, version }))',
    caughtBy: { file: 'test/server/resp-commands.test.ts', test: 'EXEC do nothing when a key has changed' },
  },
  {
    name: 'EXEC does not look at its guards',
    file: 'src/front-end/resp/commands/transactions.ts',
    find: '    guard.push(...(part.guard ?? []));\n',
    replace: '',
    caughtBy: { file: 'test/server/resp-commands.test.ts', test: 'locks, counters and sequences' },
  },
  {
    name: 'a cursor of SCAN leads into another account',
    file: 'src/front-end/resp/scan-cursors.ts',
    find: 'text?.startsWith(own) === true ?',
    replace: 'text !== undefined ?',
    caughtBy: { file: 'test/server/resp-commands.test.ts', test: 'its cursors end' },
  },
  {
    name: 'a Redis client that hangs up goes on waiting',
    file: 'src/front-end/resp/connection.ts',
    find: 'this.#pending[at]!.cancelable?.cancel();',
    replace: 'void this.#pending[at];',
    caughtBy: { file: 'test/server/resp-faults.test.ts', test: 'leaves the queue at once' },
  },
  {
    name: 'a Redis client that hangs up half way goes on waiting',
    file: 'src/front-end/resp/connection.ts',
    find: 'if (this.#pending[at]!.leavesWithClient) return void this.#socket.destroy();',
    replace: 'if (this.#pending[at]!.leavesWithClient) break;',
    caughtBy: { file: 'test/server/resp-faults.test.ts', test: 'leaves the queue at once' },
  },
  {
    name: 'a transaction of a Redis client takes any number of commands',
    file: 'src/front-end/resp/checks.ts',
    find: 'queue.commands.length >= batch_operations_max',
    replace: 'queue.commands.length < 0',
    caughtBy: { file: 'test/server/resp-faults.test.ts', test: 'a thousand commands' },
  },
  {
    name: 'replies to a Redis client that does not read have no limit',
    file: 'src/front-end/resp/output.ts',
    find: 'if (bytes > bytesMax) return void socket.destroy();',
    replace: 'if (bytes < 0) return void socket.destroy();',
    caughtBy: { file: 'test/server/resp-faults.test.ts', test: 'a client that does not read' },
  },
  {
    name: 'RESP takes a number with a leading zero',
    file: 'src/front-end/resp/reader.ts',
    find: 'this.#buffer[start] === 0x30 && at > start + 1',
    replace: 'this.#buffer[start] === 0x30 && at > start + 9',
    caughtBy: { file: 'test/front-end/resp/reader.test.ts', test: 'refused with the words of Redis' },
  },
  {
    name: 'a piece of a command is read twice',
    file: 'src/front-end/resp/reader.ts',
    find: '      this.#at = 0;\n      this.#end = rest;',
    replace: '      this.#at = rest > 20 ? 1 : 0;\n      this.#end = rest;',
    caughtBy: { file: 'test/front-end/resp/reader.test.ts', test: 'whatever the pieces' },
  },
  {
    name: 'messages of a channel reach other accounts',
    file: 'src/front-end/resp/channels.ts',
    find: "  deliver(account: AccountId, channel: string, message: string, start = ''): number {\n    const own = this.#accounts.get(account);",
    replace:
      "  deliver(_account: AccountId, channel: string, message: string, start = ''): number {\n    const [own] = this.#accounts.values();",
    caughtBy: { file: 'test/server/resp-pubsub.test.ts', test: 'none of another account' },
  },
  {
    name: 'commands begin behind one that waits',
    file: 'src/front-end/resp/connection.ts',
    find: 'return this.#blocking !== undefined || this.output.lags',
    replace: 'return this.output.lags',
    caughtBy: { file: 'test/server/resp-faults.test.ts', test: 'wait too' },
  },
  // Backups and restores.
  {
    name: 'a backup ships what is not durable',
    file: 'src/journal/file/frame-tail.ts',
    find: "if (typeof frame === 'string' || frame.last > durable) break;",
    replace: "if (typeof frame === 'string') break;",
    caughtBy: { file: 'test/journal/file/frame-tail.test.ts', test: 'none above what is durable' },
  },
  {
    name: 'the journal does not wait for the backup',
    file: 'src/journal/file/journal-writer.ts',
    find: 'Math.min(...this.#watermarks, this.#options.held())',
    replace: 'Math.min(...this.#watermarks)',
    caughtBy: { file: `${backups}/failing-storage.test.ts`, test: 'the journal is held up to its limit' },
  },
  {
    name: 'an object of ten minutes lacks its last part',
    file: 'src/backup/ship/shipper.ts',
    find: 'const bytes = Buffer.concat(parts.map((part) => part.bytes));',
    replace: 'const bytes = Buffer.concat(parts.slice(0, -1).map((part) => part.bytes));',
    caughtBy: { file: `${backups}/restore.test.ts`, test: 'every revision and moment' },
  },
  {
    name: 'after a lost answer the next frames take the place of those that were under way',
    file: 'src/backup/ship/shipper.ts',
    find: 'this.#pending ??= await',
    replace: 'this.#pending = await',
    caughtBy: { file: `${backups}/failing-storage.test.ts`, test: 'leave no hole and nothing twice' },
  },
  {
    name: 'a copy counts from one revision too high',
    file: 'src/backup/ship/copier.ts',
    find: 'const from = source.lowestWatermark();',
    replace: 'const from = source.lowestWatermark() + 1;',
    caughtBy: { file: `${backups}/fuzzy-copy.test.ts`, test: 'leads to the state of every later revision' },
  },
  {
    name: 'a copy lacks its last block',
    file: 'src/backup/ship/copier.ts',
    find: '  if (block.rows > 0) await store();\n',
    replace: '',
    caughtBy: { file: `${backups}/fuzzy-copy.test.ts`, test: 'leads to the state of every later revision' },
  },
  {
    name: 'prune takes one object too many',
    file: 'src/backup/ship/prune.ts',
    find: 'objects.push(object.key);',
    replace: 'objects.push(object.key, mine.at(-1)!.key);',
    caughtBy: { file: `${backups}/verify.test.ts`, test: 'prune keeps every moment' },
  },
  {
    name: 'a restore goes on with the next revision',
    file: 'src/backup/restore/restore.ts',
    find: 'to = options.jump === undefined ? leapt :',
    replace: 'to = options.jump === undefined ? { ...leapt, revision: revision(plan.revision + 1) } :',
    caughtBy: { file: `${backups}/restore.test.ts`, test: 'every revision and moment' },
  },
  {
    name: 'a restore jumps from the restored revision instead of the highest',
    file: 'src/backup/restore/restore.ts',
    find: 'leap({ revision: revision(given.highest),',
    replace: 'leap({ revision: plan.revision,',
    caughtBy: { file: `${backups}/restore.test.ts`, test: 'every revision and moment' },
  },
  {
    name: 'a restored directory is not marked while it is made',
    file: 'src/backup/restore/restore.ts',
    find: '  beginRestore(dataDirectory);\n',
    replace: '  beginRestore(dataDirectory);\n  endRestore(dataDirectory);\n',
    caughtBy: { file: 'test/crash/backups.test.ts', test: 'leaves a directory that no server uses' },
  },
  {
    name: 'a server ships to the backup of another log',
    file: 'src/backup/repository/claims.ts',
    find: 'if (claim.logId !== us.logId) {',
    replace: "if (claim.logId === '') {",
    caughtBy: { file: `${backups}/claims.test.ts`, test: 'a repository of another log is refused' },
  },
  {
    name: 'a restored directory takes the place of its server unasked',
    file: 'src/backup/repository/claims.ts',
    find: 'if (restored !== undefined && (restored.adopted || adopt))',
    replace: 'if (restored !== undefined)',
    caughtBy: { file: `${backups}/claims.test.ts`, test: 'ships nothing until it is adopted' },
  },
  {
    name: 'after a restore free locks are granted at once',
    file: `${core}/operations/lock.ts`,
    find: 'const closedTill = state.lockGrace.till(account, id, now);',
    replace: 'const closedTill = 0;',
    caughtBy: { file: `${tests}/core/restored.test.ts`, test: 'is granted to nobody while an unknown holder may work' },
  },
  {
    name: 'a fencing token of the lost time is unknown',
    file: 'src/protocol/restored.ts',
    find: 'fence > from && fence < to) === true',
    replace: 'fence > to && fence < from) === true',
    caughtBy: { file: `${tests}/core/restored.test.ts`, test: 'is lost to a restore' },
  },
];
