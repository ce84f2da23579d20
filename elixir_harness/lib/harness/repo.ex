defmodule Harness.Repo do
  @moduledoc "A git repository whose application builds from nothing: branches, tags and commits to build."

  @doc "A new repository with one commit on `main`; answers its directory. `page` is what the application shows."
  def create!(page) do
    dir = Path.join(System.tmp_dir!(), "otturnaut-repo-#{Harness.Agent.unique()}")
    Harness.Images.write_context!(dir)
    git!(dir, ["init", "--quiet", "--initial-branch=main"])
    File.write!(Path.join(dir, "Dockerfile"), "ENV PAGE=built\n", [:append])
    commit!(dir, page)
    dir
  end

  @doc "A commit that changes the page; answers its hash."
  def commit!(dir, page) do
    dockerfile = Path.join(dir, "Dockerfile")
    File.write!(dockerfile, String.replace(File.read!(dockerfile), ~r/^ENV PAGE=.*$/m, "ENV PAGE=#{page}"))
    git!(dir, ["add", "--all"])
    git!(dir, ["commit", "--quiet", "--allow-empty", "--message", "Show #{page}"])
    head(dir)
  end

  def head(dir), do: dir |> git!(["rev-parse", "HEAD"]) |> String.trim()

  def git!(dir, args) do
    identity = ["-c", "user.name=Harness", "-c", "user.email=harness@localhost", "-c", "commit.gpgsign=false"]

    case System.cmd("git", identity ++ args, cd: dir, stderr_to_stdout: true) do
      {output, 0} -> output
      {output, status} -> raise "git #{Enum.join(args, " ")} ended with #{status}: #{output}"
    end
  end
end
