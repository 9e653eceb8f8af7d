;; The inner loops of a recurrent network, four numbers at a time. kernels.js has the same in JavaScript, and the bytes
;; that `wat2wasm kernels.wat` makes of this file, in base64.
(module
  (memory (import "" "memory") 1)

  ;; out[0..n) = init[0..n) + x[0..k) times w (k, stride): 32 columns at a time, so up to 31 more are written than asked.
  ;; Places and the stride are in bytes.
  (func (export "product")
    (param $x i32) (param $k i32) (param $w i32) (param $stride i32) (param $init i32) (param $out i32) (param $n i32)
    (local $p i32) (local $q i32) (local $end i32) (local $s v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $e v128) (local $f v128) (local $g v128) (local $h v128)
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $k) (i32.const 2))))
    (loop $columns
      (local.set $a (v128.load (local.get $init)))
      (local.set $b (v128.load offset=16 (local.get $init)))
      (local.set $c (v128.load offset=32 (local.get $init)))
      (local.set $d (v128.load offset=48 (local.get $init)))
      (local.set $e (v128.load offset=64 (local.get $init)))
      (local.set $f (v128.load offset=80 (local.get $init)))
      (local.set $g (v128.load offset=96 (local.get $init)))
      (local.set $h (v128.load offset=112 (local.get $init)))
      (local.set $p (local.get $x))
      (local.set $q (local.get $w))
      (loop $rows
        (local.set $s (v128.load32_splat (local.get $p)))
        (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $s) (v128.load (local.get $q)))))
        (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $s) (v128.load offset=16 (local.get $q)))))
        (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $s) (v128.load offset=32 (local.get $q)))))
        (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $s) (v128.load offset=48 (local.get $q)))))
        (local.set $e (f32x4.add (local.get $e) (f32x4.mul (local.get $s) (v128.load offset=64 (local.get $q)))))
        (local.set $f (f32x4.add (local.get $f) (f32x4.mul (local.get $s) (v128.load offset=80 (local.get $q)))))
        (local.set $g (f32x4.add (local.get $g) (f32x4.mul (local.get $s) (v128.load offset=96 (local.get $q)))))
        (local.set $h (f32x4.add (local.get $h) (f32x4.mul (local.get $s) (v128.load offset=112 (local.get $q)))))
        (local.set $q (i32.add (local.get $q) (local.get $stride)))
        (br_if $rows (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
      (v128.store (local.get $out) (local.get $a))
      (v128.store offset=16 (local.get $out) (local.get $b))
      (v128.store offset=32 (local.get $out) (local.get $c))
      (v128.store offset=48 (local.get $out) (local.get $d))
      (v128.store offset=64 (local.get $out) (local.get $e))
      (v128.store offset=80 (local.get $out) (local.get $f))
      (v128.store offset=96 (local.get $out) (local.get $g))
      (v128.store offset=112 (local.get $out) (local.get $h))
      (local.set $init (i32.add (local.get $init) (i32.const 128)))
      (local.set $out (i32.add (local.get $out) (i32.const 128)))
      (local.set $w (i32.add (local.get $w) (i32.const 128)))
      (br_if $columns (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 32))) (i32.const 0)))))

  ;; x[0..n) becomes a / (1 + exp(-a x)) + 1 - a: the sigmoid where a is 1, the hyperbolic tangent where it is 2. Up to 3
  ;; more numbers are changed than asked. The exponential is 2 to a whole number times a polynomial of what is left.
  (func (export "squash") (param $x i32) (param $n i32) (param $a f32)
    (local $t v128) (local $whole v128) (local $by v128)
    (local.set $by (f32x4.splat (f32.mul (local.get $a) (f32.const -1.44269504))))
    (loop $next
      (local.set $t (f32x4.mul (local.get $by) (v128.load (local.get $x))))
      (local.set $t (f32x4.max (f32x4.min (local.get $t) (f32x4.splat (f32.const 126))) (f32x4.splat (f32.const -126))))
      (local.set $whole (f32x4.nearest (local.get $t)))
      (local.set $t (f32x4.sub (local.get $t) (local.get $whole)))
      (v128.store (local.get $x)
        (f32x4.add
          (f32x4.splat (f32.sub (f32.const 1) (local.get $a)))
          (f32x4.div
            (f32x4.splat (local.get $a))
            (f32x4.add (f32x4.splat (f32.const 1))
              (f32x4.mul
                (i32x4.shl (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $whole)) (i32x4.splat (i32.const 127))) (i32.const 23))
                (f32x4.add (f32x4.splat (f32.const 1)) (f32x4.mul (local.get $t)
                (f32x4.add (f32x4.splat (f32.const 0.6931472)) (f32x4.mul (local.get $t)
                (f32x4.add (f32x4.splat (f32.const 0.24022651)) (f32x4.mul (local.get $t)
                (f32x4.add (f32x4.splat (f32.const 0.05550411)) (f32x4.mul (local.get $t)
                (f32x4.add (f32x4.splat (f32.const 0.009618129)) (f32x4.mul (local.get $t)
                (f32x4.add (f32x4.splat (f32.const 0.0013333558)) (f32x4.mul (local.get $t)
                (f32x4.splat (f32.const 0.00015403530)))))))))))))))))))
      (local.set $x (i32.add (local.get $x) (i32.const 16)))
      (br_if $next (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 4))) (i32.const 0))))))
