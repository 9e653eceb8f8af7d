/** A folder that cannot be read, or an argument that the model cannot take. */
export class RubricaError extends Error {}

export interface Answer {
  label: string;
  /** How probable the model takes the label to be; of a fastText model, fastText's score. */
  score: number;
}

type Content = ArrayBuffer | ArrayBufferView | Blob;

export interface Model {
  /** The labels, in the order of `probabilities`. */
  labels: string[];

  /**
   * The answer to each text: the most probable label, or where a text may have several, all labels that reach their
   * thresholds, the most probable first. With `top_k`, so many labels of each text. Of a model that gives numbers from 0
   * to 1 the label is "1", and the score is the number.
   */
  predict(texts: string[], options?: { top_k?: number }): Answer[][];

  /** The probability of each label, a row for each text. */
  probabilities(texts: string[]): Float32Array[];

  /** Where the tokens of a text start and end. */
  tokens(text: string): [start: number, end: number][];

  /** The probability of each label after the first 0, 1, 2, ... tokens. */
  beliefs(text: string): Float32Array[];

  /**
   * What each token adds to the logit of a label: exactly, where the logit is a sum over tokens (linear models, bags and
   * fastText's); else what the logit loses without the token.
   */
  shares(text: string, label: string): [start: number, end: number, share: number][];
}

/**
 * Opens a model folder.
 *
 * @param source Its address; in Node also its path; or its files by name: manifest.json, config.json, vocab.txt and
 * model.safetensors.
 */
export function load(source: string | URL | Map<string, Content> | Record<string, Content>): Promise<Model>;
