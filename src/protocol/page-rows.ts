/** A page of a list, as a shard finds it. */
export interface Row {
  readonly key: string;
  /** Its finished JSON text. */
  readonly body: string;
  /** It stands for all keys that begin with its key, and other shards may have some of them. */
  readonly folder?: true;
}

export interface Page {
  /** In byte order of the UTF-8 keys. */
  readonly rows: readonly Row[];
  /** Present: there may be more after this key, the last one examined. */
  readonly after?: string;
}
