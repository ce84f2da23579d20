defmodule OtturnautHarness.MixProject do
  use Mix.Project

  def project do
    [
      app: :otturnaut_harness,
      version: "0.1.0",
      elixir: ">= 1.14.0",
      start_permanent: false,
      # Builds of several Elixir versions live side by side: the harness runs on three of them.
      build_path: "_build/otp#{System.otp_release()}",
      test_paths: [System.get_env("HARNESS_SUITE", "test")],
      deps: []
    ]
  end

  def application, do: [extra_applications: [:logger, :crypto]]
end
