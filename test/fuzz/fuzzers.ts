import { fuzzBodies } from './bodies.ts';
import { fuzzDecoders } from './decoders.ts';
import { fuzzHttp } from './http-bytes.ts';
import { fuzzRecovery } from './recovery.ts';

export const fuzzers = {
  http: fuzzHttp,
  bodies: fuzzBodies,
  decoders: fuzzDecoders,
  recovery: fuzzRecovery,
} as const;

export type FuzzTarget = keyof typeof fuzzers;
