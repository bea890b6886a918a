import { fuzzBodies } from './bodies.ts';
import { fuzzDecoders } from './decoders.ts';
import { fuzzHttp } from './http-bytes.ts';
import { fuzzLane } from './lane.ts';
import { fuzzRecovery } from './recovery.ts';

export const fuzzers = {
  http: fuzzHttp,
  bodies: fuzzBodies,
  decoders: fuzzDecoders,
  recovery: fuzzRecovery,
  lane: fuzzLane,
} as const;

export type FuzzTarget = keyof typeof fuzzers;
