/**
 * Watches over a prefix read the journal back. The log holds every commit of every shard in order, whole and durable,
 * also from before a restart. So a watch is a reader of the log, and all its promises (ordered, unique, atomic, no gap,
 * resumable) follow from the log. It costs the shards nothing, and nothing at all while no client watches.
 *
 *   after a cursor in the past                                  up to date
 *   waiting its turn ◄──► catching up, a tail of its own ───► live, on the one tail that all share ───► answered, …
 *
 * A watcher that lags reads through its own tail; all watchers that are up to date share one. A reader joins the shared
 * tail once both are up to date. The shared tail is read whenever more is durable. Only so many read history at a time
 * (history-turns.ts); a stream whose client does not take more gives its place and its tail back until it does.
 */
import { failure, type Failure } from '../../protocol/errors.ts';
import { type Revision, revision } from '../../protocol/ids.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import type { JournalSource, JournalTail } from '../../protocol/journal.ts';
import type { After } from '../../shared/clock.ts';
import type { Limits } from '../../shared/limits.ts';
import type { ReplySink, Cancelable, PrefixWatch, StreamSink } from '../dispatcher.ts';
import { historyReaderBytes } from '../memory-costs.ts';
import type { RouterCounts } from '../router-counts.ts';
import { hand } from './hand-out.ts';
import { busyReply, compactedReply, damagedReply, type AfterRestore } from './history-replies.ts';
import { HistoryTurns } from './history-turns.ts';
import { PollReader, StreamReader, type PrefixReader } from './prefix-readers.ts';
import { watchBytes, WatchLoads, type WatchCounts, type WatchLoad } from './watch-loads.ts';

export interface PrefixWatchesOptions extends AfterRestore {
  readonly source: JournalSource;
  /** The highest revision on disk, at this very moment. */
  readonly durable: () => Revision;
  readonly limits: Limits;
  /** Of all front ends. */
  readonly counts: WatchCounts & Pick<RouterCounts, 'historyDamage'>;
  /** They share `limits.history_bytes_max`; 1 by default. */
  readonly frontEnds?: number;
  /** Calls `run` after the events that are waiting now. */
  readonly defer: (run: () => void) => void;
  readonly after: After;
}

export class PrefixWatches {
  readonly #options: PrefixWatchesOptions;
  #live: JournalTail | undefined;
  #liveReaders = new Set<PrefixReader>();
  /** Those that lag, and how far each has been read; with a tail while it is its turn. */
  readonly #catchingUp = new Map<PrefixReader, { position: Revision; tail: JournalTail | undefined }>();
  readonly #loadOf = new Map<PrefixReader, WatchLoad>();
  readonly #loads: WatchLoads;
  readonly #turns: HistoryTurns<PrefixReader>;
  #pumping = false;

  constructor(options: PrefixWatchesOptions) {
    this.#options = options;
    this.#loads = new WatchLoads(options.limits, options.counts);
    const bytes = options.limits.history_bytes_max / (options.frontEnds ?? 1);
    this.#turns = new HistoryTurns(Math.max(2, Math.floor(bytes / historyReaderBytes)), {
      start: (reader) => this.#begin(reader),
      defer: options.defer,
    });
  }

  watch(watch: PrefixWatch, sink: ReplySink): Cancelable {
    const load = this.#loadOfWatch(watch);
    const refused = this.#refusal(watch.after, load);
    if (refused !== undefined) {
      sink.deliver(failureReply(revision(0), refused));
      return { cancel: () => {} };
    }
    const stopWaiting = this.#options.after(watch.waitMs, () => reader.runOut());
    const reader = new PollReader(watch, this.#options.durable(), (reply) => {
      stopWaiting();
      this.#remove(reader);
      if (!sink.disconnected) sink.deliver(reply);
    });
    this.#loadOf.set(reader, load);
    this.#add(reader);
    return {
      waits: true,
      cancel: () => {
        stopWaiting();
        this.#remove(reader);
      },
    };
  }

  stream(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable {
    const load = this.#loadOfWatch(watch);
    const refused = this.#refusal(watch.after, load);
    if (refused !== undefined) {
      sink.end(failureReply(revision(0), refused));
      return { cancel: () => {} };
    }
    const reader = new StreamReader(watch, watch.after ?? this.#options.durable(), sink, () => this.#remove(reader));
    this.#options.counts.streams.take(Infinity);
    this.#loadOf.set(reader, load);
    this.#add(reader);
    return { cancel: () => this.#remove(reader) };
  }

  /** Call when more is durable. */
  advance(): void {
    if (this.#live === undefined || this.#pumping) return;
    this.#pumping = true;
    this.#options.defer(() => this.#pump());
  }

  get size(): number {
    return this.#loadOf.size;
  }

  /** All that are open. */
  readonly open = (): Iterable<PrefixReader> => this.#loadOf.keys();

  drain(): void {
    const message = 'The server is going down; nothing was missed: watch again after the same revision.';
    const reply = failureReply(revision(0), failure('draining', message));
    for (const reader of this.#loadOf.keys()) this.#end(reader, reply);
  }

  #loadOfWatch({ account, prefix }: Pick<PrefixWatch, 'account' | 'prefix'>): WatchLoad {
    return { kind: 'prefixWatches', use: this.#loads.use(account), bytes: watchBytes([{ key: prefix }]) };
  }

  /** Returns why a watch is refused. Undefined: the watch is counted, and the caller must add it. */
  #refusal(after: Revision | undefined, load: WatchLoad): Failure | undefined {
    const { durable, counts } = this.#options;
    if (after === undefined || after <= durable()) return this.#loads.take(load);
    counts.accounts.release(load.use);
    const message =
      `After: revision ${after} is ahead of this server, which is at ${durable()}; ` +
      'list again and watch from there.';
    return failure('invalid', message);
  }

  #add(reader: PrefixReader): void {
    if (this.#live === undefined || reader.position < this.#live.position) {
      this.#catchingUp.set(reader, { position: reader.position, tail: undefined });
      return this.#turns.enter(reader);
    }
    this.#liveReaders.add(reader);
    this.advance();
  }

  /** It is the reader's turn. */
  #begin(reader: PrefixReader): void {
    const lagging = this.#catchingUp.get(reader);
    if (lagging === undefined) return;
    lagging.tail = this.#options.source.tail(lagging.position);
    this.#catchUp(reader);
  }

  /** Reads one step, then lets the other events run. */
  #catchUp(reader: PrefixReader): void {
    const tail = this.#catchingUp.get(reader)?.tail;
    if (tail === undefined || this.#isParked(reader, tail.position)) return;
    const step = tail.read(this.#options.durable());
    switch (step.kind) {
      case 'records':
        hand(
          step.chunk,
          'history',
          (account) => {
            return reader.account === account && this.#catchingUp.get(reader)?.tail === tail ? [reader] : none;
          },
          () => this.#isParked(reader, reader.position),
        );
        // One that was parked goes on where it stands, within the records.
        if (this.#catchingUp.get(reader)?.tail === tail) reader.handed(tail.position);
        break;
      case 'compacted':
        return this.#end(reader, compactedReply(step.oldest, reader, this.#options));
      case 'damaged':
        this.#options.counts.historyDamage.refused();
        return this.#end(reader, damagedReply(step.oldest));
      case 'busy':
        return this.#end(reader, busyReply);
      case 'seeking':
        reader.handed(tail.position);
        break;
      case 'idle':
        reader.caughtUp(tail.position);
        return this.#goLive(reader);
    }
    // The records may have answered the reader, which removes it, or may be all that it takes now.
    if (this.#catchingUp.get(reader)?.tail === tail) this.#options.defer(() => this.#catchUp(reader));
  }

  /** Gives the reader's place and tail to others while it takes no more. @param position where it will go on */
  #isParked(reader: PrefixReader, position: Revision): boolean {
    if (reader.ready(() => this.#unpark(reader))) return false;
    const lagging = this.#catchingUp.get(reader);
    if (lagging === undefined) return true;
    lagging.tail?.close();
    lagging.tail = undefined;
    lagging.position = position;
    this.#turns.leave(reader);
    return true;
  }

  #unpark(reader: PrefixReader): void {
    if (this.#catchingUp.has(reader)) this.#turns.enter(reader);
  }

  #goLive(reader: PrefixReader): void {
    const tail = this.#catchingUp.get(reader)?.tail;
    if (tail === undefined) return;
    this.#catchingUp.delete(reader);
    if (this.#live === undefined) this.#live = tail;
    else tail.close();
    // The shared tail may lag; this reader ignores what it has seen already.
    this.#liveReaders.add(reader);
    this.#turns.leave(reader);
    this.advance();
  }

  #pump(): void {
    this.#pumping = false;
    if (this.#live === undefined) return;
    const step = this.#live.read(this.#options.durable());
    switch (step.kind) {
      case 'records': {
        const byAccount = Map.groupBy(this.#liveReaders, (reader) => reader.account);
        hand(step.chunk, 'live', (account) => byAccount.get(account) ?? none);
        for (const reader of this.#liveReaders) reader.handed(step.chunk.last);
        break;
      }
      case 'compacted':
        for (const reader of this.#liveReaders) this.#end(reader, compactedReply(step.oldest, reader, this.#options));
        return;
      case 'damaged':
        for (const reader of this.#liveReaders) {
          this.#options.counts.historyDamage.refused();
          this.#end(reader, damagedReply(step.oldest));
        }
        return;
      case 'busy':
        // These readers have what they need but for one file. If all came back at once, they would need more.
        this.#pumping = true;
        this.#options.after(busyRetryMs, () => this.#pump());
        return;
      case 'seeking':
        break;
      case 'idle': {
        // An answered reader leaves, and the last one to leave closes the tail.
        const { position } = this.#live;
        for (const reader of this.#liveReaders) reader.caughtUp(position);
        return;
      }
    }
    if (this.#live !== undefined) this.advance();
  }

  #end(reader: PrefixReader, reply: Reply): void {
    this.#remove(reader);
    reader.end(reply);
  }

  #remove(reader: PrefixReader): void {
    const lagging = this.#catchingUp.get(reader);
    this.#catchingUp.delete(reader);
    lagging?.tail?.close();
    this.#liveReaders.delete(reader);
    const load = this.#loadOf.get(reader);
    this.#loadOf.delete(reader);
    if (load !== undefined) this.#loads.give(load);
    if (load !== undefined && reader instanceof StreamReader) this.#options.counts.streams.give();
    if (this.#liveReaders.size === 0) {
      this.#live?.close();
      this.#live = undefined;
    }
    if (lagging !== undefined) this.#turns.leave(reader);
  }
}

const none: readonly PrefixReader[] = [];
/** Between two attempts to read on when there are too many files open. */
const busyRetryMs = 100;
