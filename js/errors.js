/** A folder that cannot be read, or an argument that the model cannot take. */
export class RubricaError extends Error {
  name = "RubricaError";
}
