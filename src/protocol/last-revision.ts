import { failure } from './errors.ts';

/**
 * Revisions have 48 bits on disk. A shard that has committed this one writes nothing more: the rest is for starts, and
 * for what other shards write meanwhile.
 */
export const lastRevision = 2 ** 48 - 2 ** 30;

export const noRevisionsLeft = failure(
  'quota_exceeded',
  'The 2^48 revisions of this data directory are used up. Only reads are served: copy the content to a new one.',
);
