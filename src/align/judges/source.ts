/** What goes on with conversations: a local model, or one behind an endpoint. */
import type { Message } from '../../lm/chat-template.ts';

export type Conversation = readonly Message[];

export interface CompleteOptions {
  /** Tokens of an answer at most: 512 unless told. */
  maxTokens?: number;
  /** Of the draws, 1 unless told; 0 takes the likeliest token. */
  temperature?: number;
  /** Of the draws; each conversation has its own. An endpoint may not heed it. */
  seed?: number;
  signal?: AbortSignal;
}

/** Who answers conversations: a local model, one behind an endpoint, or any object like it. */
export interface Chat {
  /** What errors call it. */
  readonly name: string;
  /**
   * What the assistant says next in each conversation, in their order. Empty where it says nothing.
   *
   * @throws HeedError where an endpoint does not answer, or not sense, however often it is asked; where a model cannot read a
   * conversation. The signal's reason where it aborts.
   */
  complete(conversations: readonly Conversation[], options?: CompleteOptions): Promise<string[]>;
  /**
   * log p that the assistant's turn begins with each of some texts: [conversation][text]. An endpoint has no such method.
   *
   * @throws HeedError where the model's tokens do not tell the texts apart.
   */
  logProbs?(conversations: readonly Conversation[], texts: readonly string[]): number[][];
  /** Whether the model has room for a conversation and the beginning of a turn. An endpoint has no such method. */
  fits?(conversation: Conversation): boolean;
}

/** A chat that holds native memory, for whoever opened it to dispose of. */
export type OpenChat = Chat & Disposable;
