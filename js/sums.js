// What a bag and a fastText model have in common: a text is the mean of rows, so a logit is a sum over them.

/**
 * Of rows [{ first, length, row }], each of `length` tokens from `first` on: what each of `count` tokens adds to a logit, if
 * `amountOf(row)` is what a row would add alone. A run of several tokens is shared equally among them.
 */
export function shareOut(rows, count, amountOf) {
  const shares = new Float64Array(count);
  for (const { first, length, row } of rows) {
    const amount = amountOf(row) / length;
    for (let token = first; token < first + length; token++) shares[token] += amount;
  }
  return shares;
}
