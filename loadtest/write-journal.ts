/**
 * Writes a journal as a crashed server leaves it. It uses the server's own code, which takes seconds. A running server
 * would trim the journal after each checkpoint.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { JournalWriter } from '../src/journal/file/journal-writer.ts';
import { recoverJournal } from '../src/journal/file/recovery.ts';
import { accountId, revision } from '../src/protocol/ids.ts';
import { kinds, RecordWriter } from '../src/protocol/record.ts';
import { SharedRevisions } from '../src/protocol/wire/revisions.ts';
import { systemClock } from '../src/shared/clock.ts';
import { realDisk } from '../src/shared/disk.ts';

export interface WrittenJournal {
  readonly records: number;
  readonly bytes: number;
}

const segmentBytes = 64 * 1024 * 1024;
/** Records of one frame. More than in a group commit of a server, because this does not measure fdatasync. */
const frameRecords = 3000;
const log = (): void => undefined;

/** Writes records that each set the key `keyOf(record)` to `value` (JSON text), until there are `bytes` of them. */
export async function writeJournal(
  dataDirectory: string,
  bytes: number,
  value: string,
  keyOf: (record: number) => { account: string; key: string },
): Promise<WrittenJournal> {
  const directory = path.join(dataDirectory, 'journal');
  const recovered = await recoverJournal(realDisk, directory, { from: revision(0), segmentBytes, randomBytes, log });
  const revisions = new SharedRevisions(SharedRevisions.allocate(recovered.last, 1));
  const writer = new JournalWriter(realDisk, directory, {
    recovered,
    revisions,
    shards: 1,
    segmentBytes,
    log,
    clock: systemClock(),
  });
  const records = new RecordWriter();
  let written = 0;
  let count = 0;
  while (written < bytes) {
    for (let i = 0; i < frameRecords; i++) {
      const { account, key } = keyOf(count);
      const effects = [{ kind: kinds.kv, key, till: 0, value }];
      records.append({ rev: revisions.next(), account: accountId(account), effects });
      count += 1;
    }
    const chunk = records.take();
    written += chunk.bytes.length;
    writer.enqueue(chunk);
    while (writer.flush());
    // Let the writer prepare its spare segment.
    await new Promise(setImmediate);
  }
  await writer.close();
  return { records: count, bytes: written };
}
