/** Hands what was read of the journal to those who watch. */
import type { AccountId } from '../../protocol/ids.ts';
import { decodeRecord, peekAccount, peekRecord, type RecordChunk } from '../../protocol/record.ts';
import { EventTexts, type PrefixReader } from './prefix-readers.ts';

/**
 * Passes each commit of a chunk to the readers of its account. Readers of one prefix share a list of its events, and
 * all readers the texts. @param stop called after each commit that was passed on; true: the rest is not wanted
 */
export function hand(
  chunk: RecordChunk & { readonly bytes: Buffer },
  pace: 'live' | 'history',
  readersOf: (account: AccountId) => Iterable<PrefixReader>,
  stop: () => boolean = () => false,
): void {
  for (let at = 0; at < chunk.bytes.length; at += peekRecord(chunk.bytes, at).length) {
    const readers = [...readersOf(peekAccount(chunk.bytes, at))];
    if (readers.length === 0) continue;
    const record = decodeRecord(chunk.bytes, at);
    const texts = new EventTexts(record);
    const byPrefix = new Map<string, readonly string[]>();
    for (const reader of readers) {
      if (record.rev <= reader.position) continue;
      const events = byPrefix.get(reader.prefix) ?? texts.under(reader.prefix);
      byPrefix.set(reader.prefix, events);
      if (events.length > 0) reader.commit(record.rev, events, pace);
    }
    if (stop()) return;
  }
}
